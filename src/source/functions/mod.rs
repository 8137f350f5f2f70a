//! The functions that the plans of the sides need beyond what the query engine has: one file a function.

mod local_time;
mod parse_text;
pub(super) mod quick;
mod untold_time;

pub(super) use local_time::LocalTime;
pub(super) use parse_text::{Filling, ParseText};
pub(super) use parse_text::{Iso, epoch_format, iso};
pub(super) use untold_time::UntoldTime;
pub use untold_time::UntoldValue;
