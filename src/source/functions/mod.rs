//! The functions that the plans of the sides need beyond what the query engine has: one file a function.

mod local_time;
mod parse_text;

pub(super) use local_time::LocalTime;
pub(super) use parse_text::ParseText;
pub(super) use parse_text::{Iso, epoch_format, iso};
