//! What most readers want of the findings of a stream, held while they go by: how many there are of each sort, the first of each, and
//! where in time each series differs. It follows checks, columns and series, not findings.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::domain::{Bounds, Finding, Severity};

/// Findings of each check, severity and state that are kept as they are, and of each column with values that differ: as many as any output
/// shows at most.
const KEPT: u64 = 200;
/// Of each column where there are many.
const FEWEST: u64 = 3;
/// Cells into which the bounds of a stream are cut for the picture in text.
pub const CELLS: usize = 60;

/// Findings that say the same of different places.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the public tables, documented in docs/report.md")]
pub struct Tally {
    pub check: String,
    pub kind: Option<String>,
    pub severity: Severity,
    pub side: Option<String>,
    pub column_name: Option<String>,
    pub accepted: bool,
    pub known: bool,
    pub findings: u64,
    /// Their check, severity and state, by number.
    state: usize,
}

impl Tally {
    fn holds(&self, finding: &Finding) -> bool {
        self.column_name == finding.column_name
            && self.check == finding.check
            && self.severity == finding.severity
            && self.accepted == finding.accepted
            && self.known == finding.known
            && self.kind == finding.kind
            && self.side == finding.side
    }

    /// Neither accepted nor known.
    pub fn counts(&self) -> bool {
        !self.accepted && !self.known
    }
}

/// Where a series differs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Differing {
    /// Findings about rows of it.
    pub findings: u64,
    /// The cells of the bounds in which such rows lie, the first cell lowest.
    pub cells: u64,
}

/// What a finding says of a row in a picture, where it is about one.
pub fn differs(finding: &Finding) -> Option<&'static str> {
    differs_by(&finding.check, finding.severity)
}

/// The same, of a check and a severity.
pub fn differs_by(check: &str, severity: Severity) -> Option<&'static str> {
    match check {
        "value_mismatch" => Some("differing value"),
        "missing_key" => Some("missing key"),
        "unexpected_key" => Some("unexpected key"),
        "missing_row" => Some("missing row"),
        "unexpected_row" => Some("unexpected row"),
        "duplicate_key" if severity >= Severity::Warn => Some("key more than once"),
        _ => None,
    }
}

/// The findings of a stream at a glance. All counts are of the findings that are listed.
#[derive(Debug, Clone, Default)]
pub struct Overview {
    /// In the order in which they first came.
    pub tallies: Vec<Tally>,
    /// The first findings of each sort, in canonical order: any output that shows the first so many of some sorts shows the same as from all.
    pub first: Vec<Finding>,
    /// Series with findings about rows of them.
    pub differing: HashMap<String, Differing>,
    /// Findings so far of each check, severity and state.
    states: Vec<u64>,
    columns: u64,
    /// The tally of the last finding.
    last: usize,
    bounds: Bounds,
}

impl Overview {
    /// Of a stream with these bounds.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Takes the next finding into account; gives the number of its tally.
    pub fn add(&mut self, finding: &Finding) -> usize {
        // Most findings are like the one before, and the columns of a row come in turn.
        let near = [self.last, self.last + 1].into_iter().find(|&at| self.tallies.get(at).is_some_and(|tally| tally.holds(finding)));
        let place = match near.or_else(|| self.tallies.iter().position(|tally| tally.holds(finding))) {
            Some(place) => place,
            None => self.open(finding),
        };
        self.last = place;
        let tally = &mut self.tallies[place];
        tally.findings += 1;
        let state = &mut self.states[tally.state];
        *state += 1;
        let of_column = tally.check == "value_mismatch" && tally.findings <= (KEPT / self.columns.max(1)).max(FEWEST);
        if *state <= KEPT || of_column {
            self.first.push(finding.clone());
        }
        if let (Some(_), Some(at), Some(series)) = (differs(finding), finding.from_time, finding.series.as_deref()) {
            if !self.differing.contains_key(series) {
                self.differing.insert(series.to_string(), Differing::default());
            }
            let cell = self.cell(at.0);
            if let Some(differing) = self.differing.get_mut(series) {
                differing.findings += 1;
                // A key that comes more than once is drawn where that is an error.
                if finding.check != "duplicate_key" || finding.severity == Severity::Error {
                    differing.cells |= cell;
                }
            }
        }
        place
    }

    fn open(&mut self, finding: &Finding) -> usize {
        let alike = self.tallies.iter().find(|tally| {
            (&tally.check, tally.severity, tally.accepted, tally.known)
                == (&finding.check, finding.severity, finding.accepted, finding.known)
        });
        let state = alike.map_or(self.states.len(), |tally| tally.state);
        if state == self.states.len() {
            self.states.push(0);
        }
        if finding.check == "value_mismatch"
            && !self.tallies.iter().any(|tally| tally.check == finding.check && tally.column_name == finding.column_name)
        {
            self.columns += 1;
        }
        self.tallies.push(Tally {
            check: finding.check.clone(),
            kind: finding.kind.clone(),
            severity: finding.severity,
            side: finding.side.clone(),
            column_name: finding.column_name.clone(),
            accepted: finding.accepted,
            known: finding.known,
            findings: 0,
            state,
        });
        self.tallies.len() - 1
    }

    /// The cell of the bounds in which an instant lies, as a bit.
    fn cell(&self, at: i128) -> u64 {
        let (Some(from), Some(until)) = (self.bounds.from, self.bounds.until) else { return 0 };
        let (from, until) = (from.0, until.0);
        if from >= until {
            return 0;
        }
        let place = (at.clamp(from, until - 1) - from) * CELLS as i128 / (until - from);
        1 << place.clamp(0, CELLS as i128 - 1)
    }

    /// Listed findings of some sorts.
    pub fn count(&self, of: impl Fn(&Tally) -> bool) -> u64 {
        self.tallies.iter().filter(|tally| of(tally)).map(|tally| tally.findings).sum()
    }
}

/// Texts in ascending order, NULL last: the way in which SQL has it.
pub(super) fn nulls_last(a: Option<&str>, b: Option<&str>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}
