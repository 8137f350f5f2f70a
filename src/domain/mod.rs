//! The words of the field as types. Floor 0: imports nothing else of ours.

mod bounds;
mod calendar;
mod checksum;
mod coverage;
mod duration;
mod encoding;
mod finding;
mod instant;
mod learned;
mod mode;
mod profile;
mod row_hash;
mod step;
mod tolerance;
mod window;

pub use bounds::Bounds;
pub use calendar::{Calendar, CalendarError};
pub use checksum::{Checksum, Fingerprint};
pub use coverage::{Coverage, Intervals, SequenceCoverage, SequenceSpan, Span, TimeCoverage, TimeSpan};
pub use duration::{Duration, DurationError};
pub use encoding::{ColumnEncoder, ENCODING_VERSION, EncodingError, encode_column_name, encoders};
pub(crate) use encoding::{canonical_float, ticks_per_second};
pub use finding::{Finding, Grain, Severity, Verdict, pairs};
pub use instant::{Instant, InstantError};
pub use learned::{Unlearned, learn_cadence};
pub use mode::{Mode, Side};
pub use profile::{Expectation, Profile};
pub(crate) use row_hash::FEW_VALUES;
pub use row_hash::{CHECKSUM_DEFINITION, RowHashing, Seed};
pub use step::{Cadence, Regime, Step};
pub use tolerance::Tolerance;
pub use window::{Window, WindowError, Windowing};
