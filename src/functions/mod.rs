//! The functions that the plans of the sides need beyond what the query engine has: one file a function.
//! Floor 2: imports `domain`, `job` and `error`.

mod local_time;
mod parse_text;

pub use local_time::LocalTime;
pub(crate) use parse_text::{Iso, epoch_format, iso};
pub use parse_text::{ParseText, parse_text_values};
