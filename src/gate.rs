//! From findings to a verdict, and from a verdict to an exit code. Floor 5.

use crate::domain::{Severity, Verdict};
use crate::findings::{RunRecord, StreamRecord};
use crate::job::FailOn;

/// The verdict of a stream: `fail` outranks `incomplete`.
pub fn stream_verdict(fail_on: FailOn, worst: Option<Severity>, incomplete: bool) -> Verdict {
    let threshold = if fail_on == FailOn::Warn { Severity::Warn } else { Severity::Error };
    match (worst.is_some_and(|worst| worst >= threshold), incomplete) {
        (true, _) => Verdict::Fail,
        (false, true) => Verdict::Incomplete,
        (false, false) => Verdict::Pass,
    }
}

/// The verdict of a run: the worst of its streams.
pub fn run_verdict(streams: &[StreamRecord]) -> Verdict {
    streams.iter().map(|stream| stream.verdict).max().unwrap_or(Verdict::Incomplete)
}

/// 0 pass, 1 fail, 3 incomplete. `never` opens the gate for findings, and a baseline for those that it holds; neither does for what was
/// not looked at.
pub fn exit_code(fail_on: FailOn, run: &RunRecord) -> u8 {
    let incomplete = run.streams.is_empty() || run.streams.iter().any(|stream| !stream.incomplete.is_empty());
    let threshold = if fail_on == FailOn::Warn { Severity::Warn } else { Severity::Error };
    let is_new = |stream: &StreamRecord| stream.found.keys().any(|(check, _)| stream.failing(check, threshold) > 0);
    let closes = run.baseline.is_none() || run.streams.iter().any(is_new);
    match (run.verdict, fail_on) {
        (Verdict::Fail, FailOn::Error | FailOn::Warn) if closes => 1,
        (Verdict::Pass, _) => 0,
        _ if incomplete => 3,
        _ => 0,
    }
}
