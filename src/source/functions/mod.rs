//! The functions that the plans of the sides need beyond what the query engine has: one file a function.

mod local_time;
mod parse_text;
mod untold_time;

pub(super) use local_time::LocalTime;
pub(super) use parse_text::ParseText;
pub(super) use parse_text::{Iso, epoch_format, iso};
pub(super) use untold_time::UntoldTime;
pub use untold_time::UntoldValue;
