//! Findings once they are made: their tables, and which of them the user has accepted. Floor 3.

mod accept;
pub mod columns;
mod counts;
mod diagnosis;
mod list;
mod overview;
mod record;
mod row;
mod spool;
mod table;

pub use accept::{AcceptUse, Accepting};
pub use counts::finding_counts_schema;
pub use diagnosis::{DiagnosisRecord, IncidentRecord, diagnoses_batch, incidents_batch};
pub use list::{FindingList, FindingWriter};
pub use overview::{CELLS, Differing, Overview, Tally, differs, differs_by};
pub use record::{CheckRecord, CheckStatus, Counts, MOST_PLANNED, PlannedRecord, RunRecord, SideRecord, StageRecord, StreamRecord};
pub use row::{FindingRows, Row};
pub use spool::BatchIter;
pub use table::{finding_fields, findings_batch};
