//! The runs of a report directory over time: which there are, how two differ, what a baseline excuses, and which can go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::inert::plain;
use super::load::{each_batch, read_summary};
use super::words::{cut, grouped, length, moment};
use crate::domain::{Duration, Finding, Instant, Severity, Verdict};
use crate::error::{Error, Result};
use crate::findings::{FindingRows, RunRecord};

/// One complete run of a report directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunEntry {
    /// What follows `run=` in the directory's name.
    pub id: String,
    /// Its directory.
    pub directory: PathBuf,
}

fn wrong(path: &Path, problem: String, help: &str) -> Error {
    Error::Report { path: path.display().to_string(), problem, help: help.to_string() }
}

/// The complete runs of a directory in order of time; a run that is being written is none yet.
///
/// # Errors
/// The directory is not there or cannot be listed.
pub fn runs(report: &Path) -> Result<Vec<RunEntry>> {
    if !report.is_dir() {
        return Err(wrong(report, "does not exist".to_string(), "name it with --report DIR; `gapless verify` writes one"));
    }
    let listing = report.read_dir().map_err(|e| wrong(report, format!("cannot be read: {e}"), "choose another directory with --report"))?;
    let mut runs: Vec<RunEntry> = listing
        .flatten()
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.strip_prefix("run=")?.to_string();
            let directory = entry.path();
            directory.join("run.json").is_file().then_some(RunEntry { id, directory })
        })
        .collect();
    runs.sort();
    Ok(runs)
}

/// A run by `latest`, its id, or a beginning or end of its id that only it has.
///
/// # Errors
/// There is none, or more than one.
pub fn find_run(report: &Path, wanted: &str) -> Result<RunEntry> {
    let mut all = runs(report)?;
    let help = "`gapless report --runs` lists the runs";
    if wanted == "latest" {
        return all.pop().ok_or_else(|| wrong(report, "holds no run".to_string(), "`gapless verify` writes one"));
    }
    let id = wanted.strip_prefix("run=").unwrap_or(wanted);
    if let Some(exact) = all.iter().find(|run| run.id == id) {
        return Ok(exact.clone());
    }
    let mut near: Vec<RunEntry> = all.into_iter().filter(|run| run.id.starts_with(id) || run.id.ends_with(id)).collect();
    match (near.pop(), near.len()) {
        (Some(run), 0) => Ok(run),
        (Some(_), more) => Err(wrong(report, format!("holds {} runs that begin or end with '{id}'", more + 1), help)),
        (None, _) => Err(wrong(report, format!("holds no run '{id}'"), help)),
    }
}

/// A table of the runs, the latest first.
///
/// # Errors
/// The directory cannot be read.
pub fn runs_text(report: &Path) -> Result<String> {
    let all = runs(report)?;
    if all.is_empty() {
        return Ok("no runs\n".to_string());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["run", "started", "took", "job", "streams", "verdict", "exit", "errors", "warnings", "gaps", "baseline"]);
    for run in all.iter().rev() {
        // A run that cannot be read does not keep the others from being listed.
        let facts = facts(&read_summary(&run.directory).unwrap_or_default());
        let gaps = facts.gaps.map_or("–".to_string(), grouped);
        table.add_row([
            run.id.clone(),
            facts.started.map(|at| moment(Instant(at.0 / 1_000_000_000 * 1_000_000_000))).unwrap_or_default(),
            facts.took.map(|took| length((took / 1_000_000 * 1_000_000).max(1_000_000))).unwrap_or_default(),
            plain(&cut(&facts.job.unwrap_or_default(), 40)),
            facts.streams.to_string(),
            facts.verdict,
            facts.exit_code,
            grouped(facts.errors),
            grouped(facts.warnings),
            gaps,
            facts.baseline.unwrap_or_default(),
        ]);
    }
    Ok(format!("{}\n", table.to_string().lines().map(|line| line.trim().to_string()).collect::<Vec<_>>().join("\n")))
}

/// The same for machines, the oldest first.
///
/// # Errors
/// The directory cannot be read.
pub fn runs_json(report: &Path) -> Result<String> {
    let mut list = Vec::new();
    for run in runs(report)? {
        let summary = read_summary(&run.directory).unwrap_or_default();
        let facts = facts(&summary);
        list.push(json!({
            "run": run.id,
            "job": facts.job,
            "started_at": summary["started_at"],
            "finished_at": summary["finished_at"],
            "verdict": summary["verdict"],
            "exit_code": summary["exit_code"],
            "baseline": facts.baseline,
            "streams": facts.streams,
            "errors": facts.errors,
            "warnings": facts.warnings,
            "gaps": facts.gaps,
        }));
    }
    let text = serde_json::to_string_pretty(&list).unwrap_or_default();
    Ok(format!("{}\n", super::inert::json(&text)))
}

struct Facts {
    job: Option<String>,
    started: Option<Instant>,
    took: Option<i128>,
    streams: usize,
    verdict: String,
    exit_code: String,
    errors: u64,
    warnings: u64,
    gaps: Option<u64>,
    baseline: Option<String>,
}

fn facts(summary: &Value) -> Facts {
    let at = |name: &str| summary[name].as_str().and_then(|text| Instant::parse(text).ok());
    let streams = summary["streams"].as_array().map(Vec::as_slice).unwrap_or_default();
    let sum = |severity: &str| streams.iter().filter_map(|s| s["findings_by_severity"][severity].as_u64()).sum();
    let gaps: Vec<u64> =
        streams.iter().flat_map(|s| [&s["counts"]["gaps"], &s["counts"]["sequence_gaps"]]).filter_map(Value::as_u64).collect();
    Facts {
        job: summary["job"].as_str().map(str::to_string),
        started: at("started_at"),
        took: at("started_at").zip(at("finished_at")).map(|(from, until)| until.0 - from.0),
        streams: streams.len(),
        verdict: summary["verdict"].as_str().unwrap_or("unreadable").to_string(),
        exit_code: summary["exit_code"].to_string(),
        errors: sum("error"),
        warnings: sum("warn"),
        gaps: (!gaps.is_empty()).then(|| gaps.iter().sum()),
        baseline: summary["baseline"].as_str().map(str::to_string),
    }
}

/// What makes a finding the same in two runs: everything but its message, its window (whose width may be a choice of gapless), and
/// whether it was accepted. A value that changed again is another finding.
fn identity(finding: &Finding) -> u128 {
    let Finding {
        stream,
        check,
        kind,
        severity,
        grain,
        side,
        series,
        window_start: _,
        window_end: _,
        from_time,
        until_time,
        from_sequence,
        until_sequence,
        file,
        key,
        column_name,
        original_value,
        backfill_value,
        rows,
        accepted: _,
        known: _,
        message: _,
    } = finding;
    let mut hasher = blake3::Hasher::new();
    let mut add = |part: Option<&[u8]>| {
        // Framed, so that no two lists of parts are one list of bytes.
        hasher.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
        hasher.update(part.unwrap_or_default());
    };
    for part in [Some(stream), Some(check), kind.as_ref(), side.as_ref(), series.as_ref(), file.as_ref(), key.as_ref()] {
        add(part.map(|text| text.as_bytes()));
    }
    for part in [column_name, original_value, backfill_value] {
        add(part.as_ref().map(|text| text.as_bytes()));
    }
    add(Some(severity.as_str().as_bytes()));
    add(Some(grain.as_str().as_bytes()));
    // As they are stored: beginnings rounded down, ends up.
    add(from_time.map(|at| at.micros_floor().to_le_bytes()).as_ref().map(<[u8; 8]>::as_slice));
    add(until_time.map(|at| at.micros_ceil().to_le_bytes()).as_ref().map(<[u8; 8]>::as_slice));
    for number in [from_sequence, until_sequence] {
        add(number.map(i128::to_le_bytes).as_ref().map(<[u8; 16]>::as_slice));
    }
    add(rows.map(i64::to_le_bytes).as_ref().map(<[u8; 8]>::as_slice));
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    u128::from_le_bytes(id)
}

/// How often a run lists each finding: twenty bytes a finding, whatever it says.
#[derive(Debug, Default)]
struct Identities {
    ids: Vec<u128>,
    left: Vec<u32>,
}

impl Identities {
    /// Accepted findings are left out unless they are asked for.
    fn of(run: &RunEntry, accepted_too: bool) -> Result<Self> {
        let mut all = Vec::new();
        each_batch(&run.directory, "findings", |batch| {
            for finding in FindingRows::new(&batch).findings() {
                if accepted_too || !finding.accepted {
                    all.push(identity(&finding));
                }
            }
            Ok(())
        })?;
        all.sort_unstable();
        let mut left: Vec<u32> = Vec::new();
        let mut last = None;
        all.retain(|id| {
            let again = last == Some(*id);
            match left.last_mut().filter(|_| again) {
                Some(count) => *count = count.saturating_add(1),
                None => left.push(1),
            }
            last = Some(*id);
            !again
        });
        Ok(Self { ids: all, left })
    }

    fn holds(&self, finding: &Finding) -> bool {
        self.ids.binary_search(&identity(finding)).is_ok()
    }

    /// Takes one of those that are the same away; false where there is none left.
    fn take(&mut self, finding: &Finding) -> bool {
        match self.ids.binary_search(&identity(finding)).ok().and_then(|place| self.left.get_mut(place)) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }

    /// All of them again, as they were before any was taken.
    fn copied(&self) -> Self {
        Self { ids: self.ids.clone(), left: self.left.clone() }
    }
}

/// The findings of an earlier run, which a later one may have without closing the gate.
#[derive(Debug)]
pub struct Baseline {
    /// The run.
    pub id: String,
    known: Identities,
}

impl Baseline {
    /// The baseline by its run, or by `last`: the latest run of the same job that was not itself turned away by a baseline. So a finding
    /// that is new once stays new until it is gone, or until somebody names the run that holds it. `None`: there is no such run yet.
    ///
    /// # Errors
    /// The run is not there, cannot be read, or is of another job.
    pub fn open(report: &Path, wanted: &str, job: Option<&str>) -> Result<Option<Self>> {
        let entry = if wanted == "last" {
            if !report.is_dir() {
                return Ok(None);
            }
            let mut chosen = None;
            for run in runs(report)?.into_iter().rev() {
                let Ok(summary) = read_summary(&run.directory) else { continue };
                if can_be_baseline(&summary) && summary["job"].as_str() == job {
                    chosen = Some(run);
                    break;
                }
            }
            match chosen {
                Some(run) => run,
                None => return Ok(None),
            }
        } else {
            let run = find_run(report, wanted)?;
            let summary = read_summary(&run.directory)?;
            if summary["job"].as_str() != job {
                let said = |job: Option<&str>| job.map_or("no name".to_string(), |job| format!("the name '{job}'"));
                return Err(Error::Usage {
                    place: format!("--baseline {wanted}"),
                    problem: format!("that run's job has {}, this one has {}", said(summary["job"].as_str()), said(job)),
                    help: "name a run of the same job; `gapless report --runs` lists them".to_string(),
                });
            }
            run
        };
        let known = Identities::of(&entry, true)?;
        Ok(Some(Self { id: entry.id, known }))
    }
}

/// Whether `--baseline last` may choose a run, if no later one of its job can be chosen.
fn can_be_baseline(summary: &Value) -> bool {
    let turned_away = summary["baseline"].is_string() && summary["exit_code"] != 0;
    summary["schema_version"] == 1 && !turned_away
}

/// Marks the findings that the baseline holds as well. Each of its findings excuses one.
///
/// # Errors
/// The findings were spilled, and cannot be read back or spilled again.
pub fn apply_baseline(run: &mut RunRecord, baseline: &Baseline) -> Result<()> {
    let mut left = baseline.known.copied();
    for stream in &mut run.streams {
        stream.findings = stream.findings.changed(|finding| finding.known = !finding.accepted && left.take(finding))?;
        stream.known = stream.findings.overview.count(|tally| tally.known);
    }
    run.baseline = Some(baseline.id.clone());
    let threshold = run.threshold();
    for stream in &mut run.streams {
        let new = stream.found.keys().any(|(check, _)| stream.failing(check, threshold) > 0);
        if stream.verdict == Verdict::Fail && !new {
            stream.reason.push_str(&format!("; all of it known from the run {}", baseline.id));
        }
    }
    Ok(())
}

/// How the findings of a run stand against those of an earlier one.
#[derive(Debug)]
pub struct Comparison {
    /// The run that is looked at.
    pub run: String,
    /// The run that it is held against.
    pub against: String,
    /// Only in the run.
    pub new: Compared,
    /// Only in the other.
    pub gone: Compared,
    /// In both.
    pub still: Compared,
    /// Checks whose findings one of the runs does not list completely.
    pub cut: Vec<String>,
}

/// Severity, the heaviest first, stream and check.
type Sort = (std::cmp::Reverse<Severity>, String, String);

/// Findings that fare alike: how many, and the first of each check.
#[derive(Debug, Default)]
pub struct Compared {
    sorts: BTreeMap<Sort, Same>,
}

#[derive(Debug, Default)]
struct Same {
    findings: u64,
    /// Each with the start of the earliest run in a row that holds it.
    first: Vec<(Finding, Option<Instant>)>,
}

impl Compared {
    fn add(&mut self, finding: Finding, most: usize) {
        let same = self.sorts.entry((std::cmp::Reverse(finding.severity), finding.stream.clone(), finding.check.clone())).or_default();
        same.findings += 1;
        if same.first.len() < most {
            same.first.push((finding, None));
        }
    }

    /// How many there are.
    pub fn findings(&self) -> u64 {
        self.sorts.values().map(|same| same.findings).sum()
    }
}

/// Older runs that are opened to find out how old a finding is.
const OLDER_RUNS: usize = 50;
/// Findings shown of each check in a comparison, and in a long one.
const SHOWN: usize = 5;
const SHOWN_VERBOSE: usize = 1_000;

/// Compares the findings of two runs; accepted ones are left out.
///
/// # Errors
/// A run cannot be read.
pub fn compare(report: &Path, run: &RunEntry, against: &RunEntry, verbose: bool) -> Result<Comparison> {
    let most = if verbose { SHOWN_VERBOSE } else { SHOWN };
    let each = |entry: &RunEntry, take: &mut dyn FnMut(Finding)| -> Result<()> {
        each_batch(&entry.directory, "findings", |batch| {
            FindingRows::new(&batch).findings().filter(|finding| !finding.accepted).for_each(&mut *take);
            Ok(())
        })
    };
    let mut left = Identities::of(against, false)?;
    let (mut new, mut still, mut gone) = (Compared::default(), Compared::default(), Compared::default());
    each(run, &mut |finding| if left.take(&finding) { still.add(finding, most) } else { new.add(finding, most) })?;
    each(against, &mut |finding| {
        if left.take(&finding) {
            gone.add(finding, most);
        }
    })?;
    let summaries = [read_summary(&run.directory)?, read_summary(&against.directory)?];
    let mut cut: Vec<String> = Vec::new();
    for check in
        summaries.iter().flat_map(|s| s["streams"].as_array().into_iter().flatten()).flat_map(|s| s["cut"].as_array().into_iter().flatten())
    {
        if let Some(check) = check.as_str().filter(|check| !cut.iter().any(|known| known == check)) {
            cut.push(check.to_string());
        }
    }
    // Back from the other run, for as long as an unbroken row of runs of the job holds the finding.
    let job = summaries[0]["job"].clone();
    let mut open: Vec<&mut (Finding, Option<Instant>)> = still.sorts.values_mut().flat_map(|same| &mut same.first).collect();
    for earlier in runs(report)?.into_iter().rev().filter(|earlier| earlier.id <= against.id).take(OLDER_RUNS) {
        if open.is_empty() {
            break;
        }
        let summary = read_summary(&earlier.directory)?;
        if summary["job"] != job {
            continue;
        }
        let held = Identities::of(&earlier, true)?;
        let started = summary["started_at"].as_str().and_then(|text| Instant::parse(text).ok());
        open.retain_mut(|(finding, first)| {
            let held = held.holds(finding);
            if held {
                *first = started;
            }
            held
        });
    }
    Ok(Comparison { run: run.id.clone(), against: against.id.clone(), new, gone, still, cut })
}

/// A comparison as text.
pub fn comparison_text(comparison: &Comparison, now: Instant) -> String {
    let Comparison { run, against, new, gone, still, cut } = comparison;
    let mut lines = vec![
        format!("run      {run}"),
        format!("against  {against}"),
        format!("{} new · {} gone · {} still there", grouped(new.findings()), grouped(gone.findings()), grouped(still.findings())),
    ];
    if !cut.is_empty() {
        lines.push(format!("not all findings are listed ({}): some that look new or gone may be neither", cut.join(", ")));
    }
    let since = |first: &Option<Instant>| {
        first.map(|at| format!(" (for {}, since {})", length(now.0 - at.0), moment(Instant(at.0 / 1_000_000_000 * 1_000_000_000))))
    };
    for (title, compared) in [("new", new), ("gone", gone), ("still there", still)] {
        if !compared.sorts.is_empty() {
            lines.push(String::new());
            lines.push(title.to_string());
        }
        for ((severity, stream, check), same) in &compared.sorts {
            lines.push(format!("  {} {} · {} · {}", severity.0, plain(check), plain(stream), grouped(same.findings)));
            for (finding, first) in &same.first {
                lines.push(format!("    {}{}", cut_line(&finding.message), since(first).as_deref().unwrap_or_default()));
            }
            if same.findings > same.first.len() as u64 {
                lines.push(format!("    … and {} more", grouped(same.findings - same.first.len() as u64)));
            }
        }
    }
    let lines: Vec<String> = lines.iter().map(|line| super::inert::log_line(line)).collect();
    format!("{}\n", lines.join("\n"))
}

fn cut_line(text: &str) -> String {
    cut(&plain(text), 220)
}

/// What was, or would be, removed.
#[derive(Debug)]
pub struct Pruned {
    /// The runs that go, in order of time.
    pub removed: Vec<RunEntry>,
    /// How many runs stay.
    pub kept: usize,
}

/// Reads how long runs are kept, such as `90d`.
///
/// # Errors
/// It is no duration.
pub fn age_limit(text: &str) -> Result<Duration> {
    Duration::parse(text).map_err(|e| Error::Usage {
        place: format!("--keep {text}"),
        problem: e.to_string(),
        help: "write a duration such as 90d or 12h".to_string(),
    })
}

/// What the names of runs begin with while their files go.
const ASIDE: &str = ".removed-";

/// Removes the complete runs that started before an instant. What is being written, what is not a run, the latest run, the run of each job
/// that `--baseline last` goes by, and the directory itself stay: a gate is not moved by tidying up.
///
/// A run vanishes from the report in one step, before its files go, so that nobody reads half of it.
///
/// # Errors
/// The directory is not a report, or a run cannot be removed; those before it are gone then.
pub fn prune(report: &Path, before: Instant, dry_run: bool) -> Result<Pruned> {
    let mut all = runs(report)?;
    if !dry_run {
        // What an interrupted removal left behind is no run any more.
        for entry in report.read_dir().into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(ASIDE) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
    let latest = all.pop();
    let mut removed = Vec::new();
    // The job's name, of which `None` is one; the latest that can be a baseline.
    let mut baselines: BTreeMap<Option<String>, String> = BTreeMap::new();
    for run in all.iter().chain(&latest) {
        if let Ok(summary) = read_summary(&run.directory)
            && can_be_baseline(&summary)
        {
            baselines.insert(summary["job"].as_str().map(str::to_string), run.id.clone());
        }
    }
    let mut kept = usize::from(latest.is_some());
    for run in all {
        // A link is somebody else's directory, and a run without a readable start has no age.
        let own = std::fs::symlink_metadata(&run.directory).is_ok_and(|metadata| metadata.is_dir());
        let started = read_summary(&run.directory).ok().and_then(|s| s["started_at"].as_str().and_then(|text| Instant::parse(text).ok()));
        let needed = baselines.values().any(|id| *id == run.id);
        if !own || needed || started.is_none_or(|started| started >= before) {
            kept += 1;
            continue;
        }
        if !dry_run {
            let failed = |e: std::io::Error| {
                wrong(&run.directory, format!("cannot be removed: {e}"), "see who owns it, then run the same command again")
            };
            let aside = report.join(format!("{ASIDE}{}", run.id));
            // Whoever prunes at the same time may have been faster: what is gone is gone.
            let unless_gone = |outcome: std::io::Result<()>| match outcome {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(failed(e)),
                _ => Ok(()),
            };
            unless_gone(std::fs::rename(&run.directory, &aside))?;
            unless_gone(std::fs::remove_dir_all(&aside))?;
        }
        removed.push(run);
    }
    Ok(Pruned { removed, kept })
}
