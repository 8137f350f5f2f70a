//! The passes over the data and the checks over what they leave. Floor 4.
//!
//! [`screen()`] reads each side once, [`localise()`] looks again at what may differ, [`Judging`] turns coverage into
//! facts, [`diagnose()`] says why. The checks themselves are the files in `queries/`: SQL over the small relations of [`relations()`], listed in
//! [`catalogue`], run by [`run_checks()`]. No check reads rows, so no check costs a scan.

mod align;
mod ascents;
#[doc(hidden)]
pub mod bench_parts;
mod buckets;
pub mod catalogue;
mod clock;
mod continuity;
mod diagnosis;
mod differences;
mod digests;
mod expectation;
mod extra;
mod grouping;
mod hashing;
mod localise;
mod manifest;
mod ordered;
mod points;
mod reading;
mod relations;
mod repeats;
mod rules;
mod runner;
mod screen;
mod seams;
mod sequences;
mod settle;
mod sketch;
mod slices;
mod store;
mod sums;
mod suspect;
mod untold;

pub use clock::settle_clocks;
pub use continuity::{Continuity, GapFact, Judging, Range, SpanFact, Whose, WindowFact};
pub use diagnosis::{Diagnosis, Findings, diagnose};
pub use differences::{Difference, Differences};
pub use localise::localise;
pub use manifest::{ManifestFact, check_manifests};
pub use ordered::settle_order;
pub use relations::{RelationInput, accepts as accepts_relation, relations};
pub use rules::{rule_is_valid, rules_of};
pub use runner::{CheckRun, Outcome, run_checks};
pub use screen::{Screened, SideScreen, screen, screen_further};
pub use sequences::settle_sequences;
pub use settle::Localised;
pub use untold::untold_doubts;
