//! The passes over the data and the checks over what they leave. Floor 4.
//!
//! [`screen()`] reads each side once, [`localise()`] looks again at what may differ, [`continuity()`] turns coverage into
//! facts. The checks themselves are the files in `queries/`: SQL over the small relations of [`relations()`], listed in
//! [`catalogue`], run by [`run_checks()`]. No check reads rows, so no check costs a scan.

pub mod catalogue;
mod continuity;
mod digests;
mod localise;
mod manifest;
mod relations;
mod runner;
mod screen;

pub use continuity::{Continuity, GapFact, Range, SpanFact, Whose, WindowFact, continuity, rows_without_sequence};
pub use localise::{Difference, Localised, distinct, localise};
pub use manifest::{ManifestFact, check_manifests};
pub use relations::{RelationInput, accepts as accepts_relation, relations};
pub use runner::{Outcome, run_checks};
pub use screen::{Screened, SideScreen, rule_is_valid, rules_of, screen};
