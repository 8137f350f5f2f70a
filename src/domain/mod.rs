//! The words of the field as types. Floor 0: imports nothing else of ours.

mod bounds;
mod checksum;
mod coverage;
mod duration;
mod encoding;
mod finding;
mod instant;
mod mode;
mod row_hash;
mod tolerance;
mod window;

pub use bounds::Bounds;
pub use checksum::{Checksum, Fingerprint};
pub use coverage::{SequenceCoverage, SequenceSpan, TimeCoverage, TimeSpan};
pub use duration::{Duration, DurationError};
pub use encoding::{ColumnEncoder, ENCODING_VERSION, EncodingError, encode_column_name, encoders};
pub(crate) use encoding::{canonical_float, ticks_per_second};
pub use finding::{Finding, Grain, Severity, Verdict, pairs};
pub use instant::{Instant, InstantError};
pub use mode::{Mode, Side};
pub use row_hash::{CHECKSUM_DEFINITION, RowHashing, Seed};
pub use tolerance::Tolerance;
pub use window::{Window, WindowError, Windowing};
