//! Findings that the user has accepted: each acceptance covers a finding only wholly, and one that covers nothing is
//! itself a finding.

use crate::domain::{Finding, Instant};
use crate::job::Accept;

/// What an acceptance came to.
#[derive(Debug, Clone)]
pub struct AcceptUse {
    /// The acceptance.
    pub accept: Accept,
    /// Findings that it covers.
    pub covered: u64,
    /// Its expiry lies before the start of the run.
    pub expired: bool,
}

/// The acceptances of a job, and what each has come to so far.
#[derive(Debug, Clone)]
pub struct Accepting {
    /// In the order of the job.
    pub uses: Vec<AcceptUse>,
}

impl Accepting {
    /// Those of a job, for a run that began then. Expired ones cover nothing.
    pub fn new(accepts: &[Accept], started: Instant) -> Self {
        let used =
            |accept: &Accept| AcceptUse { accept: accept.clone(), covered: 0, expired: accept.expires.is_some_and(|at| at <= started) };
        Self { uses: accepts.iter().map(used).collect() }
    }

    /// Marks a finding that is accepted.
    pub fn mark(&mut self, finding: &mut Finding) {
        for used in self.uses.iter_mut().filter(|used| !used.expired) {
            if covers(&used.accept, finding) {
                finding.accepted = true;
                used.covered += 1;
            }
        }
    }
}

fn covers(accept: &Accept, finding: &Finding) -> bool {
    let Accept { check, kind, stream, side, series, key, column, bounds, reason: _, expires: _, whole_job: _, place: _ } = accept;
    let same = |wanted: &Option<String>, held: Option<&String>| wanted.as_ref().is_none_or(|wanted| Some(wanted) == held);
    *check == finding.check
        && same(kind, finding.kind.as_ref())
        && stream.as_ref().is_none_or(|stream| *stream == finding.stream)
        && same(side, finding.side.as_ref())
        && same(column, finding.column_name.as_ref())
        && holds(finding.series.as_deref(), series)
        && holds(finding.key.as_deref(), key)
        && within(bounds.from, bounds.until, finding)
}

/// True when a JSON object has all of the wanted values.
fn holds(json: Option<&str>, wanted: &std::collections::BTreeMap<String, String>) -> bool {
    if wanted.is_empty() {
        return true;
    }
    let Some(serde_json::Value::Object(object)) = json.and_then(|text| serde_json::from_str(text).ok()) else {
        return false;
    };
    wanted.iter().all(|(name, value)| match object.get(name) {
        Some(serde_json::Value::String(text)) => text == value,
        Some(other) => *value == format!("{other}"),
        None => false,
    })
}

/// True when the finding's whole range lies in the accepted one. A finding without a time is never within one.
fn within(from: Option<Instant>, until: Option<Instant>, finding: &Finding) -> bool {
    if from.is_none() && until.is_none() {
        return true;
    }
    let first = finding.from_time.or(finding.window_start);
    let end = if finding.from_time.is_some() { finding.until_time } else { finding.window_end };
    let Some(first) = first else { return false };
    let starts = from.is_none_or(|from| from <= first);
    let ends = until.is_none_or(|until| match end {
        Some(end) => end <= until,
        None => first < until,
    });
    starts && ends
}
