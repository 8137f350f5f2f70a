//! Findings once they are made: their table, and which of them the user has accepted. Floor 3.

mod accept;
pub mod columns;
mod diagnosis;
mod record;
mod table;

pub use accept::{AcceptUse, apply_accepts};
pub use diagnosis::{DiagnosisRecord, IncidentRecord, diagnoses_batch, incidents_batch};
pub use record::{CheckRecord, CheckStatus, Counts, Extent, RunRecord, SideRecord, StageRecord, StreamRecord};
pub use table::{finding_fields, findings_batch};
