//! The pipeline, in the order of the figure. Floor 6.
//!
//! ```text
//! job ──► sources ──► staging ──► screen ──► localise ──► findings ──► record of the run
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant as Clock;

use datafusion::execution::TaskContext;
use datafusion::prelude::SessionContext;
use futures::{StreamExt, TryStreamExt};

use crate::checks::{
    self, CheckRun, Continuity, Diagnosis, Findings, Judging, Localised, ManifestFact, Outcome, RelationInput, Screened, catalogue,
    check_manifests, diagnose, localise, relations, run_checks, screen, screen_further, settle_clocks, settle_order, settle_sequences,
    untold_doubts,
};
use crate::domain::{Bounds, CHECKSUM_DEFINITION, Cadence, Instant, Mode, Seed, Severity, Side, Verdict};
use crate::error::{Error, Result, redacted};
use crate::findings::{
    AcceptUse, Accepting, CheckRecord, CheckStatus, Counts, FindingList, FindingWriter, MOST_PLANNED, PlannedRecord, RunRecord, SideRecord,
    StageRecord, StreamRecord,
};
use crate::gate;
use crate::job::{Expect, Job, Maintenance, RunOptions, Stream};
use crate::progress::Progress;
use crate::source::{Discovered, Opened, describe_engine_error, discover, guarded, unreadable_file, view};
use crate::staging::{Prepared, Shower, infer_key, infer_time, prepare, session};

/// What a run takes beside the job: where it is shown and when it began.
#[expect(missing_debug_implementations, reason = "it holds a closure")]
pub struct Run<'a> {
    /// How it is carried out.
    pub options: &'a RunOptions,
    /// The job as it was run, for the report.
    pub as_run: serde_json::Value,
    /// Where progress is drawn.
    pub progress: &'a Progress,
    /// Called with each line of what was assumed, as soon as it is.
    pub say: &'a dyn Fn(&str),
}

/// Verifies every stream of a job.
///
/// # Errors
/// Nothing was judged: the job does not fit the data, or a side cannot be opened. What fails after that makes its
/// stream `incomplete` instead.
pub async fn verify(job: &Job, run: &Run<'_>) -> Result<RunRecord> {
    let started = now();
    check_names(job)?;
    let mut accepting = Accepting::new(&job.accepts, started);
    let mut streams: Vec<Judged> = Vec::new();
    for stream in &job.streams {
        streams.push(verify_stream(job, stream.clone(), run, &mut accepting).await?);
    }
    housekeeping(job, &mut streams, &accepting.uses, run.options).await?;
    let streams = streams.into_iter().map(|judged| conclude(judged, run.options)).collect::<Result<Vec<StreamRecord>>>()?;
    let mut record = RunRecord {
        id: run_id(started)?,
        job: job.name.clone(),
        started,
        finished: now(),
        verdict: gate::run_verdict(&streams),
        exit_code: 0,
        baseline: None,
        version: env!("CARGO_PKG_VERSION").to_string(),
        options: run.as_run.clone(),
        streams,
    };
    record.exit_code = gate::exit_code(run.options.fail_on, &record);
    Ok(record)
}

/// A stream, what each check came to on it, and its findings so far.
struct Judged {
    record: StreamRecord,
    outcomes: Vec<Outcome>,
    findings: FindingWriter,
}

/// What was opened of a stream, and what its passes and checks need beside what they find.
struct Looked<'a> {
    job: &'a Job,
    run: &'a Run<'a>,
    clock: Clock,
    context: SessionContext,
    prepared: Prepared,
    assumed: Vec<String>,
    manifests: Vec<ManifestFact>,
    seed: Seed,
    shower: Shower,
}

/// Everything from opening the sides to the outcomes of the checks.
async fn verify_stream(job: &Job, stream: Stream, run: &Run<'_>, accepting: &mut Accepting) -> Result<Judged> {
    let clock = Clock::now();
    let context = session(run.options)?;
    let (stream, sides, assumed) = open(&context, stream, run).await?;
    let prepared = prepare(stream, sides)?;
    for side in &prepared.sides {
        for rule in checks::rules_of(&prepared, side.side) {
            // Rules are planned before anything is read, so that a wrong one costs nothing.
            checks::rule_is_valid(&rule, side)?;
        }
    }
    let manifests = check_manifests(&prepared.stream.manifests, &prepared.sides)?;
    let seed = if run.options.untrusted { Seed::from(secret()?) } else { Seed::default() };
    let shower = Shower::new(&prepared.stream.mask, mask_key()?);
    let outcome = passes(&prepared, run, &seed, &shower, &context).await;
    let looked = Looked { job, run, clock, context, prepared, assumed, manifests, seed, shower };
    let failed = match outcome {
        Ok(found) => {
            let before = accepting.clone();
            match looked.judge(found, None, accepting).await {
                // What was found could not be kept, so that nothing can be said.
                Err(error @ Error::SpillFailed { .. }) => {
                    *accepting = before;
                    error
                }
                outcome => return outcome,
            }
        }
        Err(error @ (Error::ReadFailed { .. } | Error::OutOfMemory { .. } | Error::SpillFailed { .. })) => {
            name_the_file(&looked.context, &looked.prepared, error).await
        }
        Err(error) => return Err(error),
    };
    looked.judge(Found::default(), Some(failed), accepting).await
}

impl Looked<'_> {
    /// From what the passes left to the outcomes of the checks; `failure` says why they left nothing.
    async fn judge(&self, found: Found, failure: Option<Error>, accepting: &mut Accepting) -> Result<Judged> {
        let Looked { job, run, clock, context, prepared, assumed, manifests, seed, shower } = self;
        let Found { mut screened, mut localised, continuity: mut facts } = found;
        let moved = moved(context, prepared).await;
        if !moved.is_empty() {
            // What was compared may have been of two versions of a file.
            localised.differences.say("unstable");
        }
        refuse_times_that_are_all_null(prepared, &screened)?;
        let mut after = Clock::now();
        let mut step = |screened: &mut Screened, name: &'static str, rows: u64| {
            let elapsed_ms = u64::try_from(after.elapsed().as_millis()).unwrap_or(u64::MAX);
            screened.stages.push(StageRecord { name: name.into(), side: None, rows, bytes: 0, elapsed_ms });
            after = Clock::now();
        };
        let asked = run.options.diagnosis && !run.options.only_compare && failure.is_none() && moved.is_empty();
        let mut unexplained = None;
        let diagnosis = match asked {
            false => Diagnosis::default(),
            true => {
                let found = Findings { prepared, screened: &screened, localised: &localised, continuity: &facts };
                match diagnose(found, run.options, seed, shower, &context.task_ctx(), run.progress).await {
                    Ok(diagnosis) => diagnosis,
                    // What was found stands; only why is not known.
                    Err(error @ (Error::ReadFailed { .. } | Error::OutOfMemory { .. })) => {
                        unexplained = Some(format!("the causes could not be looked for: {error}"));
                        Diagnosis::default()
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        screened.stages.extend(diagnosis.stages);
        step(&mut screened, "causes", diagnosis.incidents.len() as u64);
        if run.options.untrusted {
            // Under a secret seed a checksum means nothing outside this run, and showing it would help a forger.
            facts.keep_checksums_secret();
        }
        let windows_judged = facts.windows_judged();
        let most = run.options.max_findings;
        let mut input = RelationInput { prepared, screened: &screened, continuity: &mut facts, manifests, accepts: &[], most };
        let relations = relations(&mut input).map_err(|e| Error::engine("staging the relations")(e.into()))?;
        let table = |name: &str| relations.iter().find(|(known, _)| *known == name).map(|(_, parts)| parts.clone());
        let small = |name: &str| table(name).and_then(|parts| parts.into_iter().next());
        let missing =
            || Error::engine("staging the relations")(datafusion::error::DataFusionError::Internal("a relation is missing".to_string()));
        let (windows, spans, gaps) =
            (table("windows").ok_or_else(missing)?, table("spans").ok_or_else(missing)?, small("gaps").ok_or_else(missing)?);
        let seams = small("edges").ok_or_else(missing)?;
        let why_not =
            |check: &str| match run.options.only_compare && catalogue::all().iter().any(|c| c.id == check && c.family == "continuity") {
                true => Some("only the comparison was asked for (--only-compare)".to_string()),
                false => not_judged(check, prepared, failure.as_ref()),
            };
        let own: Vec<_> = catalogue::all().into_iter().filter(|check| check.family != "housekeeping").collect();
        let bounds = if failure.is_some() { prepared.stream.bounds } else { facts.bounds };
        let mut findings = FindingWriter::new(&prepared.stream.name, bounds, room(job, run.options));
        let checks = CheckRun {
            stream: &prepared.stream.name,
            relations,
            differences: Some(Arc::new(std::mem::take(&mut localised.differences))),
            rules: prepared.stream.rules.iter().map(|rule| (rule.name.clone(), rule.severity)).collect(),
            severities: &job.severities,
            accepting: Some(accepting),
            most: run.options.max_findings,
            findings: &mut findings,
        };
        let outcomes = run_checks(&own, checks, why_not).await?;
        step(&mut screened, "checks", outcomes.iter().map(Outcome::findings).sum());
        let mut incomplete = incomplete_reasons(prepared, &screened, &localised, &facts, failure.as_ref());
        incomplete.extend(unexplained);
        incomplete.extend(moved.iter().map(|(side, files)| {
            format!("files of the {side} changed while they were read ({}): what was found is unstable", files.join(", "))
        }));
        let mut record = StreamRecord {
            name: prepared.stream.name.clone(),
            mode: prepared.stream.mode,
            verdict: Verdict::Incomplete,
            reason: String::new(),
            incomplete,
            unstable: !moved.is_empty(),
            sides: side_records(prepared, &screened, &facts, run.options.untrusted || run.options.only_compare),
            stages: screened.stages.clone(),
            bounds,
            bounds_kind: bounds_kind(prepared, facts.bounds),
            outage: prepared.stream.outage,
            maintenance: planned(&prepared.stream.continuity.maintenance, bounds),
            window: screened.windowing.map(|windowing| windowing.width().to_string()),
            window_is_default: prepared.stream.window.is_none(),
            time_zone: prepared.stream.time_zone.name().to_string(),
            windows_judged,
            counts: counts(prepared, &screened, &localised, &outcomes, failure.is_some()),
            checks: Vec::new(),
            findings: FindingList::none(&prepared.stream.name),
            totals: BTreeMap::new(),
            found: BTreeMap::new(),
            by_severity: BTreeMap::new(),
            accepted: 0,
            known: 0,
            cut: Vec::new(),
            assumed: assumed.clone(),
            checksum: CHECKSUM_DEFINITION.to_string(),
            windows,
            spans,
            gaps,
            seams,
            incidents: diagnosis.incidents,
            diagnoses: diagnosis.diagnoses,
            elapsed_ms: 0,
        };
        complete_totals(prepared, &screened, &localised, &outcomes, job, &mut record);
        for (severity, count) in outcomes.iter().flat_map(|outcome| &outcome.accepted) {
            record.accepted += count;
            if let Some(all) = record.by_severity.get_mut(severity) {
                *all = all.saturating_sub(*count);
            }
        }
        record.elapsed_ms = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Judged { record, outcomes, findings })
    }
}

/// Bytes of findings that a stream holds in memory: its part of a sixteenth of the budget.
fn room(job: &Job, options: &RunOptions) -> u64 {
    options.memory_bytes / 16 / (job.streams.len() as u64).max(1)
}

/// The files of each side that are not what they were when the side was opened.
async fn moved(context: &SessionContext, prepared: &Prepared) -> Vec<(Side, Vec<String>)> {
    let mut moved = Vec::new();
    for opened in &prepared.sides {
        if let Some(spec) = prepared.stream.side(opened.side) {
            moved.push((opened.side, opened.changed(context, spec).await));
        }
    }
    moved.retain(|(_, files)| !files.is_empty());
    moved
}

/// A failed read with the file that it failed on.
async fn name_the_file(context: &SessionContext, prepared: &Prepared, error: Error) -> Error {
    let Error::ReadFailed { side, problem } = &error else { return error };
    let Some(opened) = prepared.sides.iter().find(|opened| opened.side.as_str() == side) else { return error };
    // What the engine says of a value in a rule or a filter may quote a masked one.
    let problem = &if prepared.stream.mask.is_empty() { problem.clone() } else { without_quotes(problem) };
    match unreadable_file(context, opened).await {
        Some(file) => Error::ReadFailed { side: side.clone(), problem: format!("'{file}': {problem}") },
        None => Error::ReadFailed { side: side.clone(), problem: problem.clone() },
    }
}

/// A text with everything between quotes taken out.
fn without_quotes(text: &str) -> String {
    text.split('\'').enumerate().map(|(at, part)| if at % 2 == 1 { "'(masked)'" } else { part }).collect()
}

/// An event time without a single value is no event time.
fn refuse_times_that_are_all_null(prepared: &Prepared, screened: &Screened) -> Result<()> {
    let Some(place) = prepared.time else { return Ok(()) };
    for side in &screened.sides {
        let null_times = side.null_times();
        if side.rows_read > 0 && null_times == side.rows_read {
            return Err(Error::ColumnType {
                what: "--time".to_string(),
                column: prepared.paired[place].name.clone(),
                side: side.side.to_string(),
                data_type: "times".to_string(),
                problem: format!("all of its {null_times} values are NULL"),
                help: "name another column with --time, or leave it out of both sides with --ignore".to_string(),
            });
        }
    }
    Ok(())
}

/// What the passes over the data left.
#[derive(Debug, Default)]
struct Found {
    screened: Screened,
    localised: Localised,
    continuity: Continuity,
}

/// The passes over the data: one over all of it, others where something may differ, and more where there are too many series for one.
async fn passes(prepared: &Prepared, run: &Run<'_>, seed: &Seed, shower: &Shower, context: &SessionContext) -> Result<Found> {
    let (options, progress, task) = (run.options, run.progress, context.task_ctx());
    let mut screened = screen(prepared, options, seed, shower, task.clone(), progress).await?;
    settle(prepared, &mut screened, options, seed, &task, progress).await?;
    let localised = localise(prepared, &mut screened, options, seed, shower, task.clone(), progress).await?;
    let clock = Clock::now();
    let mut judging = Judging::new(prepared, &screened, &localised)?;
    match (options.only_compare, screened.has_rest()) {
        (true, _) => {}
        (false, false) => judging.add(&mut screened),
        (false, true) => judging.add_slice(&mut screened, options.untrusted)?,
    }
    if screened.has_rest() {
        screened.set_aside(None, options.diagnosis);
    }
    while screened.has_rest() {
        let mut slice = screen_further(&screened, prepared, options, seed, shower, task.clone(), progress).await?;
        settle(prepared, &mut slice, options, seed, &task, progress).await?;
        if !options.only_compare {
            judging.add_slice(&mut slice, options.untrusted)?;
        }
        screened.set_aside(Some(slice), options.diagnosis);
    }
    let continuity = match options.only_compare {
        true => Continuity::unjudged(prepared.stream.bounds),
        false => judging.finish(&screened)?,
    };
    let elapsed_ms = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
    let rows = continuity.windows_judged();
    screened.stages.push(StageRecord { name: "continuity".into(), side: None, rows, bytes: 0, elapsed_ms });
    Ok(Found { screened, localised, continuity })
}

/// Reads again what the order of rows left open.
async fn settle(
    prepared: &Prepared,
    screened: &mut Screened,
    options: &RunOptions,
    seed: &Seed,
    context: &Arc<TaskContext>,
    progress: &Progress,
) -> Result<()> {
    let clocks = settle_clocks(prepared, &mut screened.sides, options, seed, context, progress).await?;
    screened.stages.extend(clocks);
    settle_order(prepared, screened, options, seed, context, progress).await?;
    settle_sequences(prepared, screened, options, seed, context, progress).await
}

/// The planned interruptions inside the bounds, for the picture.
fn planned(maintenance: &[Maintenance], bounds: Bounds) -> Vec<PlannedRecord> {
    let (Some(from), Some(until)) = (bounds.from, bounds.until) else { return Vec::new() };
    let mut planned = Vec::new();
    for one in maintenance {
        let stretches = one.within(from.0, until.0);
        planned.extend(stretches.iter().take(MOST_PLANNED).map(|(from, until)| PlannedRecord {
            from: Instant(from),
            until: Instant(until),
            reason: one.reason.clone(),
        }));
    }
    planned.sort();
    planned.truncate(MOST_PLANNED);
    planned
}

/// Opens the sides and fills in what was not said.
async fn open(context: &SessionContext, mut stream: Stream, run: &Run<'_>) -> Result<(Stream, Vec<Opened>, Vec<String>)> {
    run.progress.stage(&format!("opening {}", stream.name), None);
    let opening = stream.sides().into_iter().filter_map(|side| Some(discover(context, side, stream.side(side)?)));
    // Text is looked at on a thread a side, where there are that many.
    let found = futures::stream::iter(opening).buffered(if run.options.threads > 1 { 2 } else { 1 });
    let found: Vec<Discovered> = found.try_collect().await?;
    let views = |time: Option<&str>| -> Result<Vec<Opened>> {
        found.iter().map(|mine| view(context, mine, found.iter().find(|other| other.side != mine.side), time, &stream.mask)).collect()
    };
    let sides = views(stream.time.as_deref())?;
    let mut assumed = Vec::new();
    for side in &sides {
        if !side.guessed.is_empty() {
            let shown: Vec<String> = side.guessed.iter().map(|(name, word)| format!("{name}: {word}")).collect();
            assumed.push(format!("the {} is read as {} (--{}-opt columns=NAME:TYPE)", side.side, shown.join(", "), side.side));
        }
    }
    if stream.time.is_none() {
        let needed_by = needs_time(&stream);
        if run.options.infer {
            let (time, line) = infer_time(&stream, &sides, needed_by)?;
            stream.time = time;
            assumed.extend(line);
        } else if let Some(setting) = needed_by {
            return Err(Error::NoTime { problem: "--no-infer was given".to_string(), needed_by: setting.to_string() });
        }
    }
    let compares = stream.mode != Mode::Single;
    if stream.key.is_none() && !stream.keyless {
        if run.options.infer {
            if all_empty(&sides).await? {
                stream.keyless = true;
            } else {
                let (key, line) = infer_key(&stream, &sides).await?;
                stream.key = Some(key);
                assumed.push(line);
            }
        } else if compares {
            return Err(Error::KeyNotSaid);
        }
    }
    assumed.iter().for_each(|line| (run.say)(line));
    Ok((stream, sides, assumed))
}

/// The setting that cannot do without an event time.
fn needs_time(stream: &Stream) -> Option<&'static str> {
    if stream.cadence.is_some() {
        Some("--cadence")
    } else if stream.window.is_some() {
        Some("--window")
    } else if !stream.bounds.is_open() {
        Some("--from or --until")
    } else {
        None
    }
}

async fn all_empty(sides: &[Opened]) -> Result<bool> {
    for side in sides {
        let rows = guarded(async {
            let batches = side.frame.clone().limit(0, Some(1))?.collect().await?;
            Ok(batches.iter().map(arrow::record_batch::RecordBatch::num_rows).sum::<usize>())
        })
        .await
        .map_err(|e| Error::ReadFailed { side: side.side.to_string(), problem: describe_engine_error(&e) })?;
        if rows > 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A rule must not take the name of a check, since a rule is a check.
fn check_names(job: &Job) -> Result<()> {
    let known = catalogue::all();
    let rules: Vec<&str> = job.streams.iter().flat_map(|stream| stream.rules.iter().map(|rule| rule.name.as_str())).collect();
    for stream in &job.streams {
        for rule in &stream.rules {
            if known.iter().any(|check| check.id == rule.name) {
                return Err(Error::Usage {
                    place: rule.place.clone(),
                    problem: format!("'{}' is the name of a check of gapless", rule.name),
                    help: "give the rule a name of its own".to_string(),
                });
            }
        }
    }
    let ids = || known.iter().map(|check| check.id).chain(rules.iter().copied());
    let named = job.accepts.iter().map(|accept| (&accept.check, accept.place.clone()));
    let weighed = job.severities.keys().map(|check| (check, format!("severity.{check}")));
    for (check, place) in named.chain(weighed) {
        if !ids().any(|id| id == check) {
            return Err(Error::Usage { place, problem: format!("there is no check '{check}'"), help: crate::error::nearest(check, ids()) });
        }
    }
    Ok(())
}

/// Why a check says nothing on this stream.
fn not_judged(check: &str, prepared: &Prepared, failure: Option<&Error>) -> Option<String> {
    let stream = &prepared.stream;
    let reads_data = !matches!(check, "missing_column" | "unexpected_column" | "column_type_mismatch" | "manifest_mismatch");
    if let (Some(_), true) = (failure, reads_data) {
        return Some("a side could not be read".to_string());
    }
    let single = stream.mode == Mode::Single;
    let one_side = || Some("one side alone: nothing was compared".to_string());
    let keyed = prepared.key.is_some();
    match check {
        "missing_column" | "unexpected_column" | "column_type_mismatch" | "column_converted" if single => one_side(),
        "gap" if prepared.time.is_none() => Some("there is no event time".to_string()),
        "cadence_learned" | "cadence_changed" if stream.cadence != Some(Cadence::Learn) => Some("no cadence was to be learned".to_string()),
        "low_window" if stream.continuity.expect.is_none() => Some("nothing was expected of windows".to_string()),
        "low_window" | "late_row" | "window_pending" if prepared.time.is_none() => Some("there is no event time".to_string()),
        "late_row" if prepared.ingest.is_none() => Some("no ingest time was given".to_string()),
        "window_pending" if stream.continuity.grace.is_none() => Some("no grace was given".to_string()),
        "sequence_reset" | "sequence_invalid" if prepared.sequence.is_none() => Some("no sequence was given".to_string()),
        "sequence_invalid" if prepared.sequence_last.is_none() && stream.sequence_step == 1 => {
            Some("every whole number can be one of the sequence".to_string())
        }
        "sequence_reset" if prepared.time.is_none() => Some("there is no event time".to_string()),
        "outage_open" | "row_outside_outage" if stream.mode != Mode::Fill => Some("only a fill covers an outage".to_string()),
        "outage_open" | "row_outside_outage" if stream.outage.is_none() => Some("no outage was named".to_string()),
        "outage_open" | "row_outside_outage" if prepared.time.is_none() => Some("there is no event time".to_string()),
        "outage_open" if stream.cadence.is_none() && stream.window.is_none() => {
            Some("neither a cadence nor a window was given".to_string())
        }
        "gap" if stream.cadence.is_none() && stream.window.is_none() => Some("neither a cadence nor a window was given".to_string()),
        "sequence_gap" | "sequence_duplicate" if prepared.sequence.is_none() => Some("no sequence was given".to_string()),
        "sequence_regression" if prepared.sequence.is_none() => Some("no sequence was given".to_string()),
        "sequence_regression" if prepared.time.is_none() => Some("there is no event time".to_string()),
        "short_window" if stream.continuity.expect == Some(Expect::LikeOriginal) => {
            Some("low_window judges it (expect = like_original)".to_string())
        }
        "missing_series" | "unexpected_series" if stream.continuity.expect_series.is_some() => None,
        "short_window" | "missing_series" | "unexpected_series" if single => one_side(),
        "short_window" | "missing_series" | "unexpected_series" if stream.mode == Mode::Fill => {
            Some("a fill does not ask for it".to_string())
        }
        "short_window" if stream.window.is_none() || prepared.time.is_none() => Some("no window was given".to_string()),
        "missing_series" | "unexpected_series" if prepared.series.is_empty() => Some("no series was given".to_string()),
        "row_outside_bounds" if stream.bounds.is_open() => Some("no bounds were given".to_string()),
        "bounds_inferred" | "null_time" if prepared.time.is_none() => Some("there is no event time".to_string()),
        "seam_gap" | "seam_overlap" if stream.mode != Mode::Fill => Some("a seam is between the sides of a fill".to_string()),
        "seam_gap" | "seam_overlap" if prepared.time.is_none() && prepared.sequence.is_none() => {
            Some("there is neither an event time nor a sequence".to_string())
        }
        "missing_key" | "unexpected_key" | "value_mismatch" | "missing_row" | "unexpected_row" if single => one_side(),
        "missing_key" | "unexpected_key" | "missing_row" | "unexpected_row" if stream.mode == Mode::Fill => {
            Some("a key on one side only is normal in a fill".to_string())
        }
        "missing_key" | "unexpected_key" | "value_mismatch" | "null_key" if !keyed => {
            Some("rows are compared whole, without a key".to_string())
        }
        "duplicate_key" if !keyed && stream.mode != Mode::Fill => Some("rows are compared whole, without a key".to_string()),
        "missing_row" | "unexpected_row" if keyed => Some("rows are matched by their key".to_string()),
        "digest_mismatch" if stream.digest.is_none() => Some("no digest was asked for".to_string()),
        "digest_mismatch" if stream.mode != Mode::Replica => Some("only a replica has equal digests".to_string()),
        "manifest_mismatch" if stream.manifests.is_empty() => Some("no manifest was given".to_string()),
        "local_time" if prepared.sides.iter().all(|side| side.untold.is_empty()) => {
            Some("no column was read as local times of a zone".to_string())
        }
        "rule" | "rule_unknown" if stream.rules.is_empty() => Some("no rule was given".to_string()),
        _ => None,
    }
}

/// What should have been looked at and was not.
fn incomplete_reasons(
    prepared: &Prepared,
    screened: &Screened,
    localised: &Localised,
    facts: &Continuity,
    failure: Option<&Error>,
) -> Vec<String> {
    if let Some(error) = failure {
        return vec![error.to_string()];
    }
    let stream = &prepared.stream;
    let mut reasons = screened.doubts.clone();
    reasons.extend(untold_doubts(prepared, screened));
    reasons.extend(facts.doubts.iter().cloned());
    if screened.sides.iter().all(|side| side.rows() == 0) {
        let read: u64 = screened.sides.iter().map(|side| side.rows_read).sum();
        reasons.push(match (screened.sides.len(), read) {
            (1, 0) => "the data has no rows".to_string(),
            (_, 0) => "both sides are empty".to_string(),
            _ => "no row lies inside the bounds".to_string(),
        });
    }
    if stream.mode != Mode::Single && prepared.compared().is_empty() {
        reasons.push("no column can be compared".to_string());
    }
    if stream.mode == Mode::Fill
        && prepared.sequence.is_none()
        && (prepared.time.is_none() || stream.cadence.is_none() && stream.window.is_none())
    {
        reasons.push("continuity cannot be judged without a cadence, a window or a sequence (--cadence, --window, --sequence)".to_string());
    }
    for side in &screened.sides {
        let unnumbered = side.null_sequences();
        if unnumbered > 0 {
            reasons.push(format!("{unnumbered} rows of the {} have no sequence number", side.side));
        }
    }
    if let (Mode::Replica, [original, backfill]) = (stream.mode, screened.sides.as_slice()) {
        // Two ways of looking must agree: the totals, and what the exact look settled.
        let differs = original.total() != backfill.total();
        let settled = localised.missing + localised.unexpected + localised.mismatched + localised.surplus_rows;
        if differs && settled == 0 && !localised.tolerated {
            reasons.push("the checksums of the sides differ, but no row was found that does: please report this".to_string());
        }
    }
    reasons
}

fn side_records(prepared: &Prepared, screened: &Screened, facts: &Continuity, secret: bool) -> Vec<SideRecord> {
    prepared
        .sides
        .iter()
        .map(|opened| {
            let screen = screened.sides.iter().find(|side| side.side == opened.side);
            SideRecord {
                side: opened.side,
                source: prepared.stream.side(opened.side).map(|spec| redacted(&spec.path)).unwrap_or_default(),
                format: opened.format.as_str().to_string(),
                files: opened.files.len() as u64,
                bytes: opened.bytes(),
                rows: screen.map(checks::SideScreen::rows),
                rows_read: screen.map(|side| side.rows_read),
                rows_outside: screen.map(|side| side.rows_outside),
                // Under a secret seed a checksum means nothing to anybody else, and in a fill not every value is read.
                checksum: screen.filter(|_| !secret && prepared.stream.mode != Mode::Fill).map(|side| side.total().to_hex()),
                digest: facts
                    .digests
                    .iter()
                    .find(|(side, _)| *side == opened.side)
                    .map(|(_, digest)| format!("{}:{digest}", prepared.stream.digest.map_or("", |algorithm| algorithm.as_str()))),
            }
        })
        .collect()
}

fn bounds_kind(prepared: &Prepared, judged: Bounds) -> &'static str {
    match (prepared.stream.bounds.from, prepared.stream.bounds.until) {
        (Some(_), Some(_)) => "given",
        _ if judged.is_open() => "none",
        (None, None) => "inferred",
        _ => "partly given",
    }
}

fn counts(prepared: &Prepared, screened: &Screened, localised: &Localised, outcomes: &[Outcome], failed: bool) -> Counts {
    if failed {
        return Counts::default();
    }
    let stream = &prepared.stream;
    let side = |side: Side| screened.sides.iter().find(|screen| screen.side == side);
    let found = |check: &str| outcomes.iter().find(|outcome| outcome.check == check && outcome.not_judged.is_none()).map(Outcome::findings);
    let (keyed, mode) = (prepared.key.is_some(), stream.mode);
    let replica = mode == Mode::Replica;
    let when = |applies: bool, value: u64| applies.then_some(value);
    let original_rows = side(Side::Original).map_or(0, checks::SideScreen::rows);
    let matched = match mode {
        // Rows that nobody had to look at twice match; of the others, the keys that were settled as equal.
        Mode::Replica => original_rows.saturating_sub(localised.original_rows) + localised.matched,
        _ => localised.matched,
    };
    let violations: u64 = screened.sides.iter().flat_map(|screen| &screen.rules).map(|tally| tally.violations).sum();
    Counts {
        original_rows: side(Side::Original).map(checks::SideScreen::rows),
        backfill_rows: side(Side::Backfill).map(checks::SideScreen::rows),
        matched_keys: when(keyed && mode != Mode::Single, matched),
        missing_keys: when(keyed && replica, localised.missing),
        unexpected_keys: when(keyed && replica, localised.unexpected),
        mismatched_keys: when(keyed && mode != Mode::Single, localised.mismatched),
        duplicate_keys: when(keyed, localised.duplicated),
        surplus_rows: when(keyed, localised.surplus_rows),
        missing_rows: when(!keyed && replica, localised.missing_rows),
        unexpected_rows: when(!keyed && replica, localised.unexpected_rows),
        gaps: found("gap"),
        sequence_gaps: found("sequence_gap"),
        violations: Some(violations),
    }
}

/// Complete counts, where the lists were cut at the limit.
fn complete_totals(
    prepared: &Prepared,
    screened: &Screened,
    localised: &Localised,
    outcomes: &[Outcome],
    job: &Job,
    record: &mut StreamRecord,
) {
    let mut by: BTreeMap<(String, Severity), u64> = BTreeMap::new();
    let defaults: BTreeMap<&str, Severity> = catalogue::all().iter().map(|check| (check.id, check.severity)).collect();
    let weigh = |check: &str, own: Option<Severity>| {
        job.severities.get(check).copied().or(own).or(defaults.get(check).copied()).unwrap_or(Severity::Error)
    };
    let settled = ["missing_key", "unexpected_key", "duplicate_key", "null_key", "missing_row", "unexpected_row", "value_mismatch"];
    let is_rule = |name: &str| prepared.stream.rules.iter().any(|rule| rule.name == name);
    for outcome in outcomes {
        if settled.contains(&outcome.check.as_str())
            || matches!(outcome.check.as_str(), "rule_unknown" | "local_time")
            || is_rule(&outcome.check)
        {
            continue;
        }
        for (sort, count) in &outcome.found {
            *by.entry(sort.clone()).or_default() += count;
        }
    }
    for ((class, _, severity), count) in &localised.found {
        *by.entry(((*class).to_string(), weigh(class, *severity))).or_default() += count;
    }
    for side in &screened.sides {
        let untold: u64 = side.untold.found.values().sum();
        if untold > 0 {
            *by.entry(("local_time".to_string(), weigh("local_time", None))).or_default() += untold;
        }
        for (rule, tally) in checks::rules_of(prepared, side.side).iter().zip(&side.rules) {
            if tally.violations > 0 {
                *by.entry((rule.name.clone(), weigh(&rule.name, Some(rule.severity)))).or_default() += tally.violations;
            }
            if tally.unknown > 0 {
                *by.entry(("rule_unknown".to_string(), weigh("rule_unknown", None))).or_default() += tally.unknown;
            }
        }
    }
    for ((check, severity), count) in by {
        *record.found.entry((check.clone(), severity)).or_default() += count;
        *record.totals.entry(check).or_default() += count;
        *record.by_severity.entry(severity).or_default() += count;
    }
}

/// The checks over the acceptances themselves: on the stream they name, or on the first.
async fn housekeeping(job: &Job, streams: &mut [Judged], uses: &[AcceptUse], options: &RunOptions) -> Result<()> {
    let own: Vec<_> = catalogue::all().into_iter().filter(|check| check.family == "housekeeping").collect();
    let first = streams.first().map(|judged| judged.record.name.clone());
    for Judged { record, outcomes, findings } in streams.iter_mut() {
        let mine: Vec<AcceptUse> = uses
            .iter()
            .filter(|used| used.accept.stream.as_ref().or(first.as_ref()) == Some(&record.name))
            // Of a part of the job nobody can say that an acceptance of all streams matches nothing.
            .filter(|used| used.accept.stream.is_some() || used.accept.whole_job || used.covered > 0 || used.expired)
            .cloned()
            .collect();
        let why_not = |_: &str| job.accepts.is_empty().then(|| "nothing was accepted".to_string());
        let relation = checks::accepts_relation(&mine).map_err(|e| Error::engine("staging the relations")(e.into()))?;
        let run = CheckRun {
            stream: &record.name,
            relations: vec![("accepts", vec![relation])],
            differences: None,
            rules: Vec::new(),
            severities: &job.severities,
            accepting: None,
            most: options.max_findings,
            findings,
        };
        let found = run_checks(&own, run, why_not).await?;
        for ((check, severity), count) in found.iter().flat_map(|outcome| &outcome.found) {
            *record.totals.entry(check.clone()).or_default() += count;
            *record.found.entry((check.clone(), *severity)).or_default() += count;
            *record.by_severity.entry(*severity).or_default() += count;
        }
        outcomes.extend(found);
    }
    Ok(())
}

/// The verdict of a stream, its reason in one sentence, and its findings.
fn conclude(judged: Judged, options: &RunOptions) -> Result<StreamRecord> {
    let Judged { mut record, outcomes, findings } = judged;
    let worst = record.by_severity.iter().filter(|(_, count)| **count > 0).map(|(severity, _)| *severity).max();
    record.verdict = match record.unstable {
        // Of data that moved nothing can be said, not even that it differs.
        true => Verdict::Incomplete,
        false => gate::stream_verdict(options.fail_on, worst, !record.incomplete.is_empty()),
    };
    for outcome in outcomes {
        let total = record.totals.get(&outcome.check).copied().unwrap_or(0);
        if total > options.max_findings as u64 {
            record.cut.push(outcome.check.clone());
        }
        record.checks.push(CheckRecord {
            check: outcome.check.clone(),
            severity: outcome.severity,
            status: match (&outcome.not_judged, outcome.fails) {
                (Some(_), _) => CheckStatus::NotJudged,
                (None, true) => CheckStatus::Fail,
                (None, false) => CheckStatus::Pass,
            },
            reason: outcome.not_judged,
            findings: total,
            duration_ms: outcome.duration_ms,
        });
    }
    record.findings = findings.finish()?;
    record.reason = reason(&record, options);
    Ok(record)
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// The verdict in one sentence.
fn reason(record: &StreamRecord, options: &RunOptions) -> String {
    let counts = &record.counts;
    if record.verdict == Verdict::Incomplete {
        return record.incomplete.join("; ");
    }
    let rows = counts.original_rows.unwrap_or(0) + counts.backfill_rows.unwrap_or(0);
    if record.verdict == Verdict::Pass {
        let warnings = record.by_severity.get(&Severity::Warn).copied().unwrap_or(0);
        let mut beside = String::new();
        if record.accepted > 0 {
            beside.push_str(&format!(", but for {}", plural(record.accepted, "accepted finding")));
        }
        if warnings > 0 {
            beside.push_str(&format!(", with {}", plural(warnings, "warning")));
        }
        let looked = plural(rows, "row");
        return match record.mode {
            Mode::Replica => format!("the backfill equals the original{beside}; {looked} looked at"),
            Mode::Fill => format!("the recovered stream is whole{beside}; {looked} looked at"),
            Mode::Single => format!("nothing is wrong{beside}; {looked} looked at, nothing compared"),
        };
    }
    let mut parts = Vec::new();
    if record.accepted == 0 {
        for (count, word) in [
            (counts.gaps, "gap"),
            (counts.sequence_gaps, "sequence gap"),
            (counts.missing_keys, "missing key"),
            (counts.unexpected_keys, "unexpected key"),
            (counts.mismatched_keys, "mismatched key"),
            (counts.missing_rows, "missing row"),
            (counts.unexpected_rows, "unexpected row"),
            (counts.surplus_rows, "surplus row"),
            (counts.violations, "rule violation"),
        ] {
            if let Some(count) = count.filter(|count| *count > 0) {
                parts.push(plural(count, word));
            }
        }
    }
    // Beside accepted findings, and for checks that no count speaks of, what is left of each check is said.
    let threshold = if options.fail_on == crate::job::FailOn::Warn { Severity::Warn } else { Severity::Error };
    for check in record.checks.iter().filter(|check| check.status == CheckStatus::Fail) {
        if record.accepted == 0 && is_counted(&check.check, counts) {
            continue;
        }
        let overview = &record.findings.overview;
        let accepted = overview.count(|tally| tally.check == check.check && tally.accepted);
        let weighs = overview.count(|tally| tally.check == check.check && !tally.accepted && tally.severity >= threshold) > 0;
        if weighs || check.severity >= threshold && check.findings > accepted {
            parts.push(in_words(&check.check, check.findings.saturating_sub(accepted)));
        }
    }
    let mut text = parts.join(", ");
    if text.is_empty() {
        text = "findings at the gate's severity".to_string();
    }
    if record.accepted > 0 {
        text.push_str(&format!(", beside {}", plural(record.accepted, "accepted finding")));
    }
    if !record.incomplete.is_empty() {
        text.push_str("; and not everything could be looked at");
    }
    text
}

/// So many findings of a check, as people say it; a rule is called by its name.
fn in_words(check: &str, count: u64) -> String {
    let (one, many) = match check {
        "local_time" => ("local time that comes twice or never", "local times that come twice or never"),
        "null_time" => ("series with rows without a time", "series with rows without a time"),
        "missing_series" => ("missing series", "missing series"),
        "unexpected_series" => ("unexpected series", "unexpected series"),
        "outage_open" => ("series with an open outage", "series with an open outage"),
        "late_row" => ("series with late rows", "series with late rows"),
        "sequence_invalid" => ("series with invalid numbers", "series with invalid numbers"),
        "row_outside_outage" => ("series with rows outside the outage", "series with rows outside the outage"),
        "stale_accept" => ("acceptance that covers nothing", "acceptances that cover nothing"),
        "expired_accept" => ("expired acceptance", "expired acceptances"),
        "value_mismatch" => ("value mismatch", "value mismatches"),
        "digest_mismatch" => ("digest mismatch", "digest mismatches"),
        "manifest_mismatch" => ("manifest mismatch", "manifest mismatches"),
        "column_type_mismatch" => ("column type mismatch", "column type mismatches"),
        rule if !catalogue::all().iter().any(|known| known.id == rule) => return format!("{count} {rule}"),
        other => return plural(count, &other.replace('_', " ")),
    };
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Whether what a check found is in one of the counts that a reason begins with.
fn is_counted(check: &str, counts: &Counts) -> bool {
    let some = |of: &[Option<u64>]| of.iter().any(|count| count.is_some_and(|count| count > 0));
    let keys = [counts.missing_keys, counts.unexpected_keys, counts.mismatched_keys, counts.surplus_rows];
    let rows = [counts.missing_rows, counts.unexpected_rows];
    match check {
        "gap" => some(&[counts.gaps]),
        "sequence_gap" => some(&[counts.sequence_gaps]),
        "seam_gap" | "outage_open" => some(&[counts.gaps, counts.sequence_gaps]),
        "missing_key" | "unexpected_key" | "value_mismatch" | "missing_row" | "unexpected_row" => true,
        // Whole windows, files and numbers differ where rows do.
        "duplicate_key" | "sequence_duplicate" => some(&[counts.mismatched_keys, counts.surplus_rows]),
        "digest_mismatch" | "short_window" => some(&keys) || some(&rows),
        _ => !catalogue::all().iter().any(|known| known.id == check) && some(&[counts.violations]),
    }
}

fn now() -> Instant {
    Instant::from_chrono(chrono::Utc::now())
}

/// The start of the run and some chance, so that two runs never share a name and runs sort by time.
fn run_id(started: Instant) -> Result<String> {
    let moment = started.to_chrono().map(|moment| moment.format("%Y%m%dT%H%M%S%3fZ").to_string()).unwrap_or_default();
    let chance = secret()?;
    Ok(format!("{moment}-{:02x}{:02x}{:02x}", chance[0], chance[1], chance[2]))
}

fn secret() -> Result<[u8; 32]> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)
        .map_err(|e| Error::engine("drawing a secret")(datafusion::error::DataFusionError::Execution(e.to_string())))?;
    Ok(key)
}

/// The key of masked digests: the user's, so that they can be compared between runs, or one of the run.
fn mask_key() -> Result<[u8; 32]> {
    match std::env::var("GAPLESS_MASK_KEY") {
        Ok(text) if !text.is_empty() => Ok(blake3::derive_key("gapless 2026-11-23 mask v1", text.as_bytes())),
        _ => secret(),
    }
}

/// What `init` proposes for a stream.
#[derive(Debug)]
pub struct Proposal {
    /// The stream with what was inferred filled in.
    pub stream: Stream,
    /// Columns and how each side reads them.
    pub types: Vec<(String, String)>,
    /// What was assumed, a line each.
    pub notes: Vec<String>,
    /// Text columns of the key that could be series.
    pub series_candidates: Vec<String>,
}

/// Looks at the data and proposes the settings of a stream.
///
/// # Errors
/// A side cannot be opened. That no key is found is not one: then whole rows are compared.
pub async fn propose(stream: &Stream, options: &RunOptions) -> Result<Proposal> {
    let context = session(options)?;
    let progress = Progress::hidden();
    let say = |_: &str| {};
    let run = Run { options, as_run: serde_json::Value::Null, progress: &progress, say: &say };
    let opened = match open(&context, stream.clone(), &run).await {
        Err(Error::NoKey { tried }) => {
            let mut keyless = stream.clone();
            keyless.keyless = true;
            let (stream, sides, mut notes) = open(&context, keyless, &run).await?;
            notes.push(format!("no key: {tried} sets of columns were tried, none is unique on either side"));
            (stream, sides, notes)
        }
        other => other?,
    };
    let (stream, sides, notes) = opened;
    let mut types: Vec<(String, String)> = Vec::new();
    for side in &sides {
        for field in side.schema.fields() {
            let shown = field.data_type().to_string();
            match types.iter_mut().find(|(name, _)| name == field.name()) {
                Some((_, known)) if *known != shown => known.push_str(&format!(" on the original, {shown} on the {}", side.side)),
                Some(_) => {}
                None => types.push((field.name().clone(), shown)),
            }
        }
    }
    let series_candidates = stream
        .key
        .iter()
        .flatten()
        .filter(|name| {
            sides[0].schema.field_with_name(name).is_ok_and(|field| field.data_type().is_string())
                && stream.key.as_ref().is_some_and(|k| k.len() > 1)
        })
        .cloned()
        .collect();
    Ok(Proposal { stream, types, notes, series_candidates })
}
