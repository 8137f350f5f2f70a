//! The drill: each cause is planted with random seeds into the departures of the fixture and into a generated stream, and what is
//! diagnosed is held against what was planted.
//!
//! The gaps that must be found come from a walk over the planted rows that shares no code with the library: all of them and no
//! other. Of causes, `unknown` is honest and counts as a miss; a wrong cause counts double. The confusion matrix is pinned.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::outside::repository;
use super::support::{Case, batch};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;

/// A stream to plant into: rows in order of time, and how they are judged and filed.
struct Stream {
    name: &'static str,
    rows: RecordBatch,
    time: &'static str,
    series: &'static str,
    sequence: &'static str,
    keys: &'static [&'static str],
    /// Gaps are silences longer than one and a half of it, or else empty windows.
    cadence: Option<i64>,
    window: i64,
    bounds: (i64, i64),
    /// The file of a row is its time cut to this.
    file: i64,
}

impl Stream {
    fn times(&self) -> Vec<i64> {
        self.rows.column_by_name(self.time).unwrap().as_primitive::<TimestampMicrosecondType>().values().to_vec()
    }

    fn numbers(&self) -> Vec<i64> {
        self.rows.column_by_name(self.sequence).unwrap().as_primitive::<Int64Type>().values().to_vec()
    }

    fn series_of(&self) -> Vec<String> {
        let column = arrow::compute::cast(self.rows.column_by_name(self.series).unwrap(), &DataType::Utf8).unwrap();
        column.as_string::<i32>().iter().map(|value| value.unwrap().to_string()).collect()
    }
}

/// A row of a planted side: which it was, and what became of it.
#[derive(Clone, Copy)]
struct Row {
    of: usize,
    time: i64,
    number: i64,
    /// The file by its own time, whatever the row says.
    filed: i64,
    /// When it came.
    arrived: i64,
}

fn departures() -> Stream {
    let folder = repository().join("fixtures/flights-outage/live");
    let mut batches = Vec::new();
    for day in ["day=2013-07-07", "day=2013-07-08"] {
        let file = std::fs::File::open(folder.join(day).join("part-0.parquet")).unwrap();
        batches.extend(ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap));
    }
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    // From 06:00 to 21:00 in New York no half hour is without a departure at any of the three airports.
    let bounds = (1_373_191_200_000_000, 1_373_245_200_000_000);
    let times = all.column_by_name("scheduled_at").unwrap().as_primitive::<TimestampMicrosecondType>();
    let mut inside: Vec<u32> = (0..all.num_rows() as u32).filter(|at| (bounds.0..bounds.1).contains(&times.value(*at as usize))).collect();
    let numbers = all.column_by_name("log_offset").unwrap().as_primitive::<Int64Type>();
    inside.sort_by_key(|at| (times.value(*at as usize), numbers.value(*at as usize)));
    Stream {
        name: "departures",
        rows: take_record_batch(&all, &UInt32Array::from(inside)).unwrap(),
        time: "scheduled_at",
        series: "origin",
        sequence: "log_offset",
        keys: &["scheduled_at,carrier,flight,origin"],
        cadence: None,
        window: 30 * MINUTE,
        bounds,
        file: 24 * HOUR,
    }
}

/// Four devices, a row a minute and a little late, for sixteen hours; a file an hour.
fn readings(rng: &mut StdRng) -> Stream {
    let start = 1_709_251_200_000_000; // 2024-03-01T00:00:00Z
    let (devices, minutes) = (4_i64, 16 * 60_i64);
    let mut listed: Vec<(i64, i64, i64)> = Vec::new();
    for minute in 0..minutes {
        for device in 0..devices {
            listed.push((start + minute * MINUTE + rng.random_range(0..MINUTE / 5), device, minute));
        }
    }
    listed.sort_unstable();
    let values: Vec<f64> = listed.iter().map(|_| f64::from(rng.random_range(0..1_000_000_i32)) / 16.0).collect();
    let regions = ["DE", "FR", "IT", "PL", "SE"];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(listed.iter().map(|(_, device, minute)| device * 1_000_000 + minute)))),
        ("device", Arc::new(StringArray::from_iter_values(listed.iter().map(|(_, device, _)| format!("d{device}"))))),
        ("ts", Arc::new(TimestampMicrosecondArray::from_iter_values(listed.iter().map(|(at, _, _)| *at)).with_timezone("UTC"))),
        ("seq", Arc::new(Int64Array::from_iter_values(listed.iter().map(|(_, device, minute)| device * 7_000 + minute + 3)))),
        ("region", Arc::new(StringArray::from_iter_values(listed.iter().map(|_| regions[rng.random_range(0..5)])))),
        ("value", Arc::new(Float64Array::from(values))),
    ];
    Stream {
        name: "readings",
        rows: batch(columns),
        time: "ts",
        series: "device",
        sequence: "seq",
        keys: &["id", "device,ts"],
        cadence: Some(MINUTE),
        window: 5 * MINUTE,
        bounds: (start, start + minutes * MINUTE),
        file: HOUR,
    }
}

/// Something that was planted: its cause, where, and in which series.
#[derive(Debug, Clone)]
struct Planted {
    cause: &'static str,
    from: i64,
    until: i64,
    series: BTreeSet<String>,
}

/// Both sides of a trial; the backfill is left out of a single one.
struct Trial {
    original: Vec<Row>,
    backfill: Option<Vec<Row>>,
    fill: bool,
    planted: Vec<Planted>,
}

const CAUSES: [&str; 7] = ["lost", "idle", "partial", "moved", "truncated", "duplicate_replay", "late"];

/// Plants one cause into the rows that are judged: those of the backfill, or of the one side.
fn plant(stream: &Stream, cause: &'static str, mode: &str, rng: &mut StdRng) -> Trial {
    let (times, numbers, labels) = (stream.times(), stream.numbers(), stream.series_of());
    // Rows come within half a minute, long before their windows are complete: no event is so near to the end of one.
    let whole: Vec<Row> = (0..times.len())
        .map(|of| {
            let arrived = times[of] + (of as i64 * 7_919 % 30) * 1_000_000;
            Row { of, time: times[of], number: numbers[of], filed: times[of], arrived }
        })
        .collect();
    let all: BTreeSet<String> = labels.iter().cloned().collect();
    // All at once, or one or two of them.
    let hit: BTreeSet<String> = match rng.random_range(0..3) {
        0 => all.clone(),
        many => {
            let mut picked: Vec<String> = all.iter().cloned().collect();
            while picked.len() > many.min(all.len() - 1) {
                picked.remove(rng.random_range(0..picked.len()));
            }
            picked.into_iter().collect()
        }
    };
    let hit = if cause == "truncated" { all.clone() } else { hit };
    let span = stream.bounds.1 - stream.bounds.0;
    // Neither end at the end of a file, so that nothing looks like a tail that is none.
    let flights = stream.cadence.is_none();
    let (from, until) = loop {
        let from = stream.bounds.0 + rng.random_range(span / 6..span / 2);
        let length = if flights { rng.random_range(100 * MINUTE..240 * MINUTE) } else { rng.random_range(12 * MINUTE..170 * MINUTE) };
        let until = from + length;
        let off = |at: i64| (6 * MINUTE..HOUR - 6 * MINUTE).contains(&at.rem_euclid(HOUR));
        if off(from) && off(until) && until < stream.bounds.1 - span / 8 {
            break (from, until);
        }
    };
    let inside = |row: &Row| (from..until).contains(&row.time) && hit.contains(&labels[row.of]);
    let mut original = whole.clone();
    let mut judged = whole;
    let mut planted = Planted { cause, from, until, series: hit.clone() };
    match cause {
        // A whole file is lost as well as any other stretch.
        "lost" if !flights && rng.random_bool(0.2) => {
            planted.from = from.div_euclid(HOUR) * HOUR;
            planted.until = planted.from + HOUR;
            planted.series = all;
            judged.retain(|row| !(planted.from..planted.until).contains(&row.time));
        }
        "lost" => judged.retain(|row| !inside(row)),
        "idle" => {
            // Nobody produced anything: neither side has the rows, and the numbers go on.
            let mut less: BTreeMap<&str, i64> = BTreeMap::new();
            judged.retain_mut(|row| {
                let taken = less.entry(labels[row.of].as_str()).or_default();
                row.number -= *taken;
                *taken += i64::from(inside(row));
                !inside(row)
            });
            original = judged.clone();
        }
        "partial" => {
            let share = rng.random_range(0.2..0.8);
            judged.retain(|row| !inside(row) || rng.random_bool(share));
        }
        // The stretch was lost, and what was collected again stands at shifted times: nothing of it is a row that live data has.
        "moved" if mode == "fill" => {
            let shifts = [HOUR, -HOUR, 2 * HOUR, 5 * HOUR + 30 * MINUTE];
            let by = shifts[rng.random_range(0..shifts.len())];
            let by = if until + by > stream.bounds.1 { -HOUR } else { by };
            let mut again: Vec<Row> = original.iter().copied().filter(|row| inside(row)).collect();
            again.iter_mut().for_each(|row| row.time += by);
            judged.retain(|row| !inside(row));
            return Trial { original: judged, backfill: Some(again), fill: true, planted: vec![planted] };
        }
        "moved" => {
            let shifts = if flights { [HOUR, -HOUR, 2 * HOUR] } else { [HOUR, -HOUR, 5 * HOUR + 30 * MINUTE] };
            let by = shifts[rng.random_range(0..3)];
            for row in &mut judged {
                if inside(row) && (stream.bounds.0..stream.bounds.1).contains(&(row.time + by)) {
                    row.time += by;
                }
            }
        }
        "truncated" => {
            // The tail of one file that has another behind it.
            let last = stream.bounds.1.div_euclid(stream.file) * stream.file;
            let end = if flights { last } else { from.div_euclid(stream.file) * stream.file + stream.file };
            let cut =
                if flights { end - rng.random_range(100 * MINUTE..300 * MINUTE) } else { end - rng.random_range(8 * MINUTE..50 * MINUTE) };
            (planted.from, planted.until) = (cut, end);
            judged.retain(|row| !(cut..end).contains(&row.time));
        }
        "duplicate_replay" => {
            let again: Vec<Row> = judged.iter().copied().filter(|row| inside(row)).collect();
            judged.extend(again);
        }
        "late" => {
            // Some hours later, each on its own: the side that was read by then has none of them.
            for row in original.iter_mut().chain(&mut judged).filter(|row| inside(row)) {
                row.arrived = row.time + 2 * HOUR + (row.of as i64 * 104_729 % (6 * HOUR / MINUTE)) * MINUTE;
            }
            if mode != "single" {
                judged.retain(|row| !inside(row));
            }
        }
        other => panic!("no cause {other}"),
    }
    let planted = vec![planted];
    match mode {
        "single" => Trial { original: judged, backfill: None, fill: false, planted },
        "replica" => Trial { original, backfill: Some(judged), fill: false, planted },
        _ => {
            // The stretch and a margin are collected again, sometimes not quite to its end.
            let (low, high) = (planted[0].from - 10 * MINUTE, planted[0].until);
            // What came late came whole.
            let high = if cause == "late" || rng.random_bool(0.5) { high + 10 * MINUTE } else { low + (high - low) * 2 / 3 };
            let again = original.into_iter().filter(|row| (low..high).contains(&row.time)).collect();
            Trial { original: judged, backfill: Some(again), fill: true, planted }
        }
    }
}

/// Writes a side as Parquet, a file for each stretch of time.
fn write(stream: &Stream, rows: &[Row], folder: &Path) {
    let mut files: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        files.entry(row.filed.div_euclid(stream.file)).or_default().push(row);
    }
    std::fs::create_dir_all(folder).unwrap();
    for (name, rows) in files {
        let picked = take_record_batch(&stream.rows, &UInt32Array::from_iter_values(rows.iter().map(|row| row.of as u32))).unwrap();
        let schema = picked.schema();
        let columns = schema.fields().iter().zip(picked.columns()).map(|(field, column)| {
            let column: ArrayRef = if field.name() == stream.time {
                Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.time)).with_timezone("UTC"))
            } else if field.name() == stream.sequence {
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.number)))
            } else {
                column.clone()
            };
            (field.name().clone(), column)
        });
        let mut columns: Vec<(String, ArrayRef)> = columns.collect();
        let arrivals = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.arrived)).with_timezone("UTC");
        columns.push(("arrived_at".to_string(), Arc::new(arrivals)));
        let batch = batch(columns.iter().map(|(name, column)| (name.as_str(), column.clone())).collect());
        let mut writer = parquet::arrow::ArrowWriter::try_new(
            std::fs::File::create(folder.join(format!("{name}.parquet"))).unwrap(),
            batch.schema(),
            None,
        )
        .unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
}

type Gap = (String, String, String, i128, i128);

/// The gaps of a side, by walking its rows: of time, and of the sequence.
fn gaps_of(stream: &Stream, side: &str, rows: &[Row], extent: &BTreeMap<String, (i64, i64)>, gaps: &mut BTreeSet<Gap>) {
    let labels = stream.series_of();
    let mut by_series: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| by_series.entry(&labels[row.of]).or_default().push(row));
    for (series, mut rows) in by_series {
        let label = format!("{{\"{}\":\"{series}\"}}", stream.series);
        let mut push = |kind: &str, from: i64, until: i64| {
            gaps.insert((side.to_string(), label.clone(), kind.to_string(), from.into(), until.into()));
        };
        rows.sort_by_key(|row| row.time);
        match stream.cadence {
            Some(cadence) => {
                let times: Vec<i64> = rows.iter().map(|row| row.time).collect();
                for pair in times.windows(2) {
                    if (pair[1] - pair[0]) * 2 > cadence * 3 {
                        push("time", pair[0] + cadence, pair[1]);
                    }
                }
                let (head, tail) = (times[0] - stream.bounds.0, stream.bounds.1 - times[times.len() - 1]);
                if head >= cadence {
                    push("time", stream.bounds.0, times[0]);
                }
                if tail > 2 * cadence {
                    push("time", times[times.len() - 1] + cadence, stream.bounds.1);
                }
            }
            None => {
                let held: BTreeSet<i64> = rows.iter().map(|row| row.time.div_euclid(stream.window)).collect();
                let mut open: Option<i64> = None;
                for window in stream.bounds.0 / stream.window..=stream.bounds.1 / stream.window {
                    let empty = window < stream.bounds.1 / stream.window && !held.contains(&window);
                    match (open, empty) {
                        (None, true) => open = Some(window),
                        (Some(start), false) => {
                            push("time", start * stream.window, window * stream.window);
                            open = None;
                        }
                        _ => {}
                    }
                }
            }
        }
        let numbers: BTreeSet<i64> = rows.iter().map(|row| row.number).collect();
        let (first, last) = extent[series];
        let mut next = first;
        for number in numbers {
            if number > next {
                push("sequence", next, number);
            }
            next = number + 1;
        }
        if next <= last {
            push("sequence", next, last + 1);
        }
    }
}

/// One trial, judged: gaps expected and found, and what was said of what was planted.
fn judge(stream: &Stream, trial: &Trial, key: &str, seed: u64) -> (BTreeSet<Gap>, BTreeSet<Gap>, Vec<(String, String)>) {
    let case = Case::new();
    write(stream, &trial.original, &case.path("original"));
    let window = format!("{}m", stream.window / MINUTE);
    let cadence = stream.cadence.map(|cadence| format!("{}m", cadence / MINUTE));
    let iso = |at: i64| gapless::domain::Instant::from_micros(at).to_string();
    let (from, until) = (iso(stream.bounds.0), iso(stream.bounds.1));
    let mut args = vec!["original"];
    if let Some(backfill) = &trial.backfill {
        write(stream, backfill, &case.path("backfill"));
        args.push("backfill");
    }
    if trial.fill {
        args.extend(["--mode", "fill"]);
    }
    args.extend(["--key", key, "--time", stream.time, "--series", stream.series, "--sequence", stream.sequence]);
    args.extend(["--window", &window, "--from", &from, "--until", &until, "--ingest-time", "arrived_at"]);
    if let Some(cadence) = &cadence {
        args.extend(["--cadence", cadence]);
    }
    let run = case.verify(&args);
    let mut expected = BTreeSet::new();
    let labels = stream.series_of();
    let mut extent: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in trial.original.iter().chain(trial.backfill.iter().flatten()) {
        let ends = extent.entry(labels[row.of].clone()).or_insert((row.number, row.number));
        *ends = (ends.0.min(row.number), ends.1.max(row.number));
    }
    gaps_of(stream, "original", &trial.original, &extent, &mut expected);
    if let Some(backfill) = &trial.backfill {
        let both: Vec<Row> = trial.original.iter().chain(backfill).copied().collect();
        let (whose, rows) = if trial.fill { ("recovered", &both) } else { ("backfill", backfill) };
        gaps_of(stream, whose, rows, &extent, &mut expected);
    }
    let text = |row: &BTreeMap<String, Option<String>>, name: &str| row.get(name).cloned().flatten();
    let micros = |text: &str| -> i128 { (gapless::domain::Instant::parse(text).unwrap().0 + 999).div_euclid(1_000) };
    let mut found = BTreeSet::new();
    let mut said_by_recovered: BTreeSet<Gap> = BTreeSet::new();
    for gap in run.table("gaps") {
        let kind = text(&gap, "kind").unwrap();
        let ends = match kind.as_str() {
            "time" => [text(&gap, "from_time"), text(&gap, "until_time")].map(|at| micros(&at.unwrap())),
            _ => [text(&gap, "from_sequence"), text(&gap, "until_sequence")].map(|at| at.unwrap().parse().unwrap()),
        };
        let gap_of = (text(&gap, "side").unwrap(), text(&gap, "series").unwrap(), kind, ends[0], ends[1]);
        if trial.fill && gap_of.0 == "original" && text(&gap, "status").as_deref() == Some("open") {
            said_by_recovered.insert(gap_of.clone());
        }
        found.insert(gap_of);
    }
    let diagnoses = run.table("diagnoses");
    // Every gap is diagnosed, and so is every series that was hit.
    let undiagnosed: Vec<&Gap> = found
        .iter()
        .filter(|gap| !said_by_recovered.contains(*gap))
        .filter(|(side, series, kind, from, until)| {
            !diagnoses.iter().any(|row| {
                let ends = match kind.as_str() {
                    "time" => [text(row, "from_time"), text(row, "until_time")].map(|at| at.map(|at| micros(&at))),
                    _ => [text(row, "from_sequence"), text(row, "until_sequence")].map(|at| at.and_then(|at| at.parse().ok())),
                };
                text(row, "side").as_ref() == Some(side)
                    && text(row, "series").as_ref() == Some(series)
                    && ends == [Some(*from), Some(*until)]
            })
        })
        .collect();
    assert!(undiagnosed.is_empty(), "seed {seed}: {undiagnosed:?}\n{}", run.stdout);
    let mut told = Vec::new();
    let mut explained: BTreeSet<usize> = BTreeSet::new();
    for planted in &trial.planted {
        for series in &planted.series {
            let label = format!("{{\"{}\":\"{series}\"}}", stream.series);
            let mut causes: BTreeSet<String> = BTreeSet::new();
            for (at, row) in diagnoses.iter().enumerate() {
                let subject = text(row, "subject").unwrap();
                if matches!(subject.as_str(), "column" | "slice") {
                    explained.insert(at);
                    continue;
                }
                // In a fill the original lost the rows, and the backfill has them elsewhere.
                if trial.fill && planted.cause == "moved" && text(row, "side").as_deref() == Some("original") {
                    explained.insert(at);
                    continue;
                }
                let mine = text(row, "series").is_none_or(|of| of == label);
                let ends = [text(row, "from_time"), text(row, "until_time")].map(|at| at.map(|at| micros(&at)));
                // What has only numbers belongs to a gap of time that says the same.
                let [Some(from), Some(until)] = ends else {
                    explained.insert(at);
                    continue;
                };
                let moved_here = planted.cause == "moved" && text(row, "cause").as_deref() == Some("moved");
                if mine && (moved_here || from < planted.until.into() && until > planted.from.into()) {
                    causes.insert(text(row, "cause").unwrap());
                    explained.insert(at);
                }
            }
            let said = match causes.len() {
                0 => "nothing".to_string(),
                1 => causes.into_iter().next().unwrap(),
                _ => causes.into_iter().collect::<Vec<_>>().join("+"),
            };
            if said != planted.cause && std::env::var("GAPLESS_DRILL").is_ok() {
                println!("{} seed {seed} {planted:?} {series}: {said}\n{}", stream.name, run.summary["streams"][0]["incidents"]);
            }
            told.push((planted.cause.to_string(), said));
        }
    }
    for (at, row) in diagnoses.iter().enumerate() {
        if !explained.contains(&at) {
            told.push(("(nothing)".to_string(), text(row, "cause").unwrap()));
        }
    }
    (expected, found, told)
}

#[test]
fn planted_causes_are_diagnosed() {
    let seeds: u64 = std::env::var("GAPLESS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let mut matrix: BTreeMap<(String, String), u64> = BTreeMap::new();
    let (mut gaps_expected, mut gaps_found, mut trials) = (0, 0, 0);
    for seed in 0..seeds {
        for (which, cause) in CAUSES.iter().enumerate() {
            for variant in 0..4 {
                let mut rng = StdRng::seed_from_u64(seed * 100 + which as u64 * 10 + variant);
                let (stream, mode) = match variant {
                    0 => (departures(), "replica"),
                    1 => (readings(&mut rng), "replica"),
                    // One side alone knows of no other place where a row should stand.
                    2 if *cause == "moved" => continue,
                    2 => (readings(&mut rng), "single"),
                    _ => (readings(&mut rng), "fill"),
                };
                let trial = plant(&stream, cause, mode, &mut rng);
                let key = stream.keys[rng.random_range(0..stream.keys.len())];
                let (expected, found, told) = judge(&stream, &trial, key, seed);
                let missed: Vec<&Gap> = expected.difference(&found).collect();
                let invented: Vec<&Gap> = found.difference(&expected).collect();
                assert!(
                    missed.is_empty() && invented.is_empty(),
                    "{} {cause} {seed}: missed {missed:?}, invented {invented:?}",
                    stream.name
                );
                gaps_expected += expected.len();
                gaps_found += found.len();
                trials += 1;
                told.into_iter().for_each(|cell| *matrix.entry(cell).or_default() += 1);
            }
        }
    }
    let columns: BTreeSet<&String> = matrix.keys().map(|(_, said)| said).collect();
    let mut shown = format!("{:<18}", "planted \\ said");
    columns.iter().for_each(|column| shown.push_str(&format!("{column:>18}")));
    let (mut planted, mut lost) = (0, 0);
    for row in CAUSES.iter().chain(&["(nothing)"]) {
        shown.push_str(&format!("\n{row:<18}"));
        for column in &columns {
            let count = matrix.get(&((*row).to_string(), (*column).clone())).copied().unwrap_or(0);
            shown.push_str(&format!("{:>18}", if count == 0 { "·".to_string() } else { count.to_string() }));
            planted += if *row == "(nothing)" { 0 } else { count };
            lost += match column.as_str() {
                said if said == *row => 0,
                "unknown" | "nothing" => count,
                _ => 2 * count,
            };
        }
    }
    let score = 1.0 - lost as f64 / planted as f64;
    shown.push_str(&format!(
        "\n\n{trials} trials; gaps: {gaps_found} found of {gaps_expected}, none invented; causes: {:.1} % of {planted} ({lost} lost)",
        score * 100.0
    ));
    println!("{shown}");
    assert!(score >= 0.95, "{shown}");
    if seeds == 3 {
        insta::assert_snapshot!("drill_confusion_matrix", shown);
    }
}

/// The new value of an old text and number.
type Alter = Box<dyn Fn(&str, f64) -> Option<String>>;

/// How the values of a column are altered: what must be said, and the new value of each old one.
fn alteration(word: &str, rng: &mut StdRng) -> (&'static str, Alter) {
    let by = f64::from(rng.random_range(2..60_i32)) / 4.0;
    let own = move |f: fn(f64, f64) -> f64| Box::new(move |_: &str, value: f64| Some(f(value, by).to_string()));
    match word {
        "offset" => ("value", own(|value, by| value + by)),
        "factor" => ("value", own(|value, by| value * by)),
        "rounded" => ("value", Box::new(|_, value| Some(value.round().to_string()))),
        "narrowed" => ("ratio", Box::new(|_, value| Some(f64::from(value as f32).to_string()))),
        "nulled" => ("value", Box::new(|_, _| None)),
        "overwritten" => ("value", Box::new(|_, _| Some("-1".to_string()))),
        "replaced" => ("status", Box::new(|_, _| Some("gone".to_string()))),
        "case" => ("note", Box::new(|old, _| Some(old.to_uppercase()))),
        "trim" => ("note", Box::new(|old, _| Some(old.trim().to_string()))),
        "cut" => ("note", Box::new(|old, _| Some(old.chars().take(9).collect()))),
        "encoding" => ("note", Box::new(|old, _| Some(old.bytes().map(char::from).collect()))),
        // Read as UTC where it was the wall clock of New York.
        "moved" => (
            "seen",
            Box::new(|old, _| {
                Some(gapless::domain::Instant(gapless::domain::Instant::parse(old).unwrap().0 - 18_000_000_000_000).to_string())
            }),
        ),
        // Nothing that one transformation explains.
        "unknown" => ("note", Box::new(|old, value| Some(format!("{}{old}", value as i64 % 97)))),
        other => panic!("no alteration {other}"),
    }
}

const ALTERATIONS: [&str; 13] =
    ["offset", "factor", "rounded", "narrowed", "nulled", "overwritten", "replaced", "case", "trim", "cut", "encoding", "unknown", "moved"];

/// Altered values: the column, the transformation, and the slice and the file in which they lie, are named.
#[test]
fn planted_alterations_are_explained_and_found_where_they_are() {
    let seeds: u64 = std::env::var("GAPLESS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let regions = ["DE", "FR", "IT", "PL", "SE", "UK", "NL", "ES"];
    let mut matrix: BTreeMap<(String, String), u64> = BTreeMap::new();
    let (mut planted, mut lost, mut slices, mut files) = (0, 0, 0, 0);
    for seed in 0..seeds {
        for (which, word) in ALTERATIONS.iter().enumerate() {
            let mut rng = StdRng::seed_from_u64(seed * 1_000 + which as u64);
            let (column, alter) = alteration(word, &mut rng);
            let region = regions[rng.random_range(0..regions.len())];
            let file = rng.random_range(0..4);
            let few = rng.random_bool(0.5);
            let mut sides = [vec![String::new(); 4], vec![String::new(); 4]];
            let mut altered = 0;
            for row in 0..4_000_i64 {
                let value = f64::from(rng.random_range(-800_000..800_000_i32)) / 1_024.0;
                let own = regions[rng.random_range(0..regions.len())];
                let status = if rng.random_bool(0.7) { "ready" } else { "closed" };
                let note = format!(" Stück {} é ", rng.random_range(0..100_000));
                let ratio = rng.random_range(1..1_000) as f64 / 7.0;
                let part = (row / 1_000) as usize;
                let at = gapless::domain::Instant::from_micros(1_709_251_200_000_000 + row * MINUTE);
                let seen = gapless::domain::Instant::from_micros(1_709_251_200_000_000 + row * MINUTE + row % 7 * 1_000_000).to_string();
                let of_all = |value: Option<&str>, ratio: &str, status: &str, note: &str, seen: &str| {
                    format!("{row},{at},{own},{},{ratio},{status},\"{note}\",{seen}\n", value.unwrap_or(""))
                };
                let of = |value: Option<&str>, ratio: &str, status: &str, note: &str| of_all(value, ratio, status, note, &seen);
                let (plain, plain_ratio) = (value.to_string(), ratio.to_string());
                let whole = of(Some(&plain), &plain_ratio, status, &note);
                let hit = own == region && part == file && (!few || rng.random_bool(0.6)) && (*word != "replaced" || status == "ready");
                let new = match (hit, column) {
                    (false, _) => whole.clone(),
                    (true, "value") => of(alter("", value).as_deref(), &plain_ratio, status, &note),
                    (true, "ratio") => of(Some(&plain), &alter("", ratio).unwrap(), status, &note),
                    (true, "seen") => of_all(Some(&plain), &plain_ratio, status, &note, &alter(&seen, 0.0).unwrap()),
                    (true, "status") => of(Some(&plain), &plain_ratio, &alter(status, 0.0).unwrap(), &note),
                    (true, _) => of(Some(&plain), &plain_ratio, status, &alter(&note, value).unwrap()),
                };
                altered += u64::from(new != whole);
                sides[0][part].push_str(&whole);
                sides[1][part].push_str(&new);
            }
            let case = Case::new();
            for (side, parts) in ["original", "backfill"].iter().zip(&sides) {
                for (part, rows) in parts.iter().enumerate() {
                    case.file(&format!("{side}/part-{part}.csv"), format!("id,ts,region,value,ratio,status,note,seen\n{rows}"));
                }
            }
            let run = case.verify(&["original", "backfill", "--key", "id", "--time", "ts", "--opt", "columns=value:float64,ratio:float64"]);
            let diagnoses = run.table("diagnoses");
            let text = |row: &BTreeMap<String, Option<String>>, name: &str| row.get(name).cloned().flatten();
            let of = |subject: &str| diagnoses.iter().filter(|row| text(row, "subject").as_deref() == Some(subject)).collect::<Vec<_>>();
            let columns = of("column");
            assert_eq!(columns.len(), 1, "seed {seed} {word}: {}", run.stdout);
            assert_eq!(text(columns[0], "column_name").as_deref(), Some(column));
            assert_eq!(text(columns[0], "of_rows"), Some(altered.to_string()), "seed {seed} {word}");
            let said = text(columns[0], "cause").unwrap();
            planted += 1;
            lost += if said == **word { 0 } else { 1 + u64::from(said != "unknown") };
            slices += u64::from(of("slice").iter().any(|row| {
                text(row, "column_name").as_deref() == Some("region")
                    && text(row, "value").as_deref() == Some(region)
                    && text(row, "rows") == Some(altered.to_string())
            }));
            files += u64::from(of("slice").iter().any(|row| text(row, "file") == Some(format!("part-{file}.csv"))));
            *matrix.entry(((*word).to_string(), said)).or_default() += 1;
            // The first line that a person reads.
            let first = run.summary["streams"][0]["incidents"][0]["message"].as_str().unwrap().to_string();
            assert!(first.starts_with(&format!("100 % of altered rows ({altered} of {altered}) are in region = '{region}'")), "{first}");
            assert!(first.contains(&format!("all from one file: part-{file}.csv")), "{first}");
        }
    }
    let score = 1.0 - lost as f64 / planted as f64;
    let mut shown: Vec<String> = matrix.iter().map(|((word, said), count)| format!("{word:<12} {said:<12} {count}")).collect();
    shown.push(format!("\n{planted} trials: transformation {:.1} %, slice {slices}, file {files}; no column too many", score * 100.0));
    let shown = shown.join("\n");
    println!("{shown}");
    assert!(score >= 0.95 && slices == planted && files == planted, "{shown}");
    if seeds == 3 {
        insta::assert_snapshot!("drill_alterations", shown);
    }
}

/// Departures altered at one airport: the transformation and the airport are named.
#[test]
fn altered_departures_are_explained_and_found_where_they_are() {
    use arrow::array::{Array, Int32Array};
    use arrow::datatypes::Int32Type;
    let seeds: u64 = std::env::var("GAPLESS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let stream = departures();
    let origins = stream.series_of();
    type Change = fn(i32, i32) -> i32;
    let numbers: [(&str, &str, Change); 5] = [
        ("dep_delay", "offset", |value, by| value + by),
        ("distance", "factor", |value, by| value * by),
        ("distance", "cut", |value, _| value / 100 * 100),
        ("air_time", "rounded", |value, _| (value + 5) / 10 * 10),
        ("distance", "overwritten", |_, by| by),
    ];
    type Rewrite = fn(&str) -> String;
    let texts: [(&str, &str, Rewrite); 3] = [
        ("dest", "case", |value| value.to_lowercase()),
        ("tailnum", "trim", |value| format!(" {value}")),
        ("tailnum", "cut", |value| value.chars().take(3).collect()),
    ];
    for seed in 0..seeds {
        let mut rng = StdRng::seed_from_u64(seed + 400);
        let (by, origin) = (rng.random_range(2..50), ["EWR", "JFK", "LGA"][rng.random_range(0..3)]);
        let altered = |name: &str, made: &dyn Fn(&ArrayRef) -> ArrayRef| {
            let schema = stream.rows.schema();
            let columns = schema.fields().iter().zip(stream.rows.columns());
            batch(columns.map(|(f, c)| (f.name().as_str(), if f.name() == name { made(c) } else { c.clone() })).collect())
        };
        let mut trials: Vec<(&str, &str, RecordBatch)> = Vec::new();
        for (column, word, change) in numbers {
            trials.push((
                column,
                word,
                altered(column, &|old| {
                    let old = old.as_primitive::<Int32Type>();
                    let new = old.iter().zip(&origins).map(|(v, o)| v.map(|v| if o == origin { change(v, by) } else { v }));
                    Arc::new(new.collect::<Int32Array>())
                }),
            ));
        }
        for (column, word, change) in texts {
            trials.push((
                column,
                word,
                altered(column, &|old| {
                    let old = arrow::compute::cast(old, &DataType::Utf8).unwrap();
                    let old = old.as_string::<i32>();
                    let new = old.iter().zip(&origins).map(|(v, o)| v.map(|v| if o == origin { change(v) } else { v.to_string() }));
                    Arc::new(new.collect::<StringArray>())
                }),
            ));
        }
        for (column, word, rows) in trials {
            let case = Case::new();
            case.parquet("original.parquet", &stream.rows).parquet("backfill.parquet", &rows);
            let run = case.verify(&["original.parquet", "backfill.parquet", "--key", stream.keys[0], "--time", stream.time]);
            let diagnoses = run.table("diagnoses");
            let of = |subject: &str| diagnoses.iter().filter(|row| row["subject"].as_deref() == Some(subject)).collect::<Vec<_>>();
            let columns = of("column");
            assert_eq!(columns.len(), 1, "{seed} {column} {word}: {}", run.stdout);
            assert_eq!(
                (columns[0]["column_name"].as_deref(), columns[0]["cause"].as_deref()),
                (Some(column), Some(word)),
                "{seed} {}",
                run.stdout
            );
            let first = run.summary["streams"][0]["incidents"][0]["message"].as_str().unwrap();
            assert!(first.starts_with("100 % of altered rows") && first.contains(&format!("origin = '{origin}'")), "{first}");
            assert!(rows.num_rows() == stream.rows.num_rows() && rows.column_by_name(column).unwrap().len() == rows.num_rows());
        }
    }
}

/// Threads and batches are no part of the answer.
#[test]
fn the_same_rows_give_the_same_diagnosis() {
    for (seed, cause) in CAUSES.iter().enumerate() {
        let mut rng = StdRng::seed_from_u64(seed as u64 + 77);
        let stream = readings(&mut rng);
        let trial = plant(&stream, cause, "replica", &mut rng);
        let case = Case::new();
        write(&stream, &trial.original, &case.path("original"));
        write(&stream, trial.backfill.as_ref().unwrap(), &case.path("backfill"));
        let mut answers = Vec::new();
        for (threads, batch, how) in [("1", "8192", "screen"), ("7", "31", "screen"), ("3", "1000", "full")] {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_gapless"))
                .current_dir(case.dir())
                .env("GAPLESS_BATCH_SIZE", batch)
                .args("verify original backfill --key id --time ts --series device --sequence seq --cadence 1m --window 5m --ingest-time arrived_at --format json".split(' '))
                .args(["--threads", threads, "--verify", how, "--report", &format!("report-{threads}")])
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(1), "{cause}: {}", String::from_utf8_lossy(&output.stderr));
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_gapless"))
                .current_dir(case.dir())
                .args(["sql", "SELECT * EXCLUDE (run) FROM diagnoses; SELECT * EXCLUDE (run) FROM incidents", "--format", "json"])
                .args(["--report", &format!("report-{threads}")])
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            answers.push(String::from_utf8(output.stdout).unwrap());
        }
        assert!(answers[0].contains(cause) && answers.iter().all(|answer| *answer == answers[0]), "{cause}");
    }
}

/// Without `--no-diagnosis` there is a further pass, with it there is none; the findings are the same.
#[test]
fn the_diagnosis_can_be_left_out() {
    let mut rng = StdRng::seed_from_u64(5);
    let stream = readings(&mut rng);
    let trial = plant(&stream, "lost", "replica", &mut rng);
    let case = Case::new();
    write(&stream, &trial.original, &case.path("original"));
    write(&stream, trial.backfill.as_ref().unwrap(), &case.path("backfill"));
    let args = "original backfill --key id --time ts --series device --cadence 1m".split(' ').collect::<Vec<_>>();
    let with = case.verify(&args);
    let without = case.verify(&[args.as_slice(), &["--no-diagnosis"]].concat());
    let passes = |run: &super::support::Verified| {
        run.stream()["stages"].as_array().unwrap().iter().filter(|stage| stage["stage"] == "diagnosis").count()
    };
    assert_eq!((passes(&with), passes(&without)), (2, 0));
    assert_eq!(with.findings, without.findings);
    assert!(!with.table("incidents").is_empty() && without.table("incidents").is_empty() && without.table("diagnoses").is_empty());
    // What is whole is not read again.
    let whole = case.verify(&[&["original", "original"], &args[2..], &["--until", "2024-03-01T16:00:00Z"]].concat());
    assert_eq!((passes(&whole), whole.verdict()), (0, "pass"));
    // The threshold decides between brief and persistent.
    let class = |after: &str| {
        let run = case.verify(&[args.as_slice(), &["--persistent-after", after]].concat());
        run.stream()["incidents"][0]["class"].as_str().unwrap().to_string()
    };
    assert_eq!((class("1m"), class("10d")), ("persistent".to_string(), "brief".to_string()));
}

/// A list that was cut never makes a count exact.
#[test]
fn a_cut_list_is_no_exact_count() {
    let mut rng = StdRng::seed_from_u64(9);
    let stream = readings(&mut rng);
    let trial = plant(&stream, "lost", "replica", &mut rng);
    let case = Case::new();
    write(&stream, &trial.original, &case.path("original"));
    write(&stream, trial.backfill.as_ref().unwrap(), &case.path("backfill"));
    let whole = case.verify(&["original", "backfill", "--key", "id", "--time", "ts", "--series", "device"]);
    let cut = case.verify(&["original", "backfill", "--key", "id", "--time", "ts", "--series", "device", "--max-findings", "3"]);
    let first = |run: &super::support::Verified| run.stream()["incidents"][0].clone();
    assert_eq!((first(&whole)["rows_exact"].as_bool(), first(&whole)["rows"].as_i64()), (Some(true), whole.count("missing_keys")));
    assert_eq!(first(&cut)["rows_exact"].as_bool(), Some(false));
    assert!(first(&cut)["message"].as_str().unwrap().starts_with("about "), "{}", first(&cut));
}

/// A sequence in steps, of ranges, or of log offsets: whether something was produced goes by the numbers that are missing, not by how far two are apart.
#[test]
fn what_a_sequence_says_goes_by_its_steps_ranges_and_skips() {
    let time = |minute: i64| gapless::domain::Instant::from_micros(1_709_251_200_000_000 + minute * MINUTE).to_string();
    let idle = |at: i64| time(at + if at >= 50 { 60 } else { 0 });
    type Numbers = fn(i64) -> String;
    type Sequenced<'a> = (&'a str, Numbers, &'a [&'a str], u64);
    let cases: [Sequenced<'_>; 3] = [
        ("n", |at| format!("{}", at * 10), &["--sequence", "n", "--sequence-step", "10"], 60),
        ("n,m", |at| format!("{},{}", at * 10, at * 10 + 9), &["--sequence", "n,m"], 60),
        // A marker of a transaction lies where the silence is.
        (
            "n,m",
            |at| format!("{},{at}", at + i64::from(at >= 50)),
            &["--sequence", "n", "--sequence-kind", "kafka_offset", "--payload-sequence", "m"],
            60,
        ),
    ];
    for (header, numbers, flags, lost) in cases {
        let case = Case::new();
        let silent: String = (0..100).map(|at| format!("{},{}\n", numbers(at), idle(at))).collect();
        let gone: String = (0..200).filter(|at| !(50..110).contains(at)).map(|at| format!("{},{}\n", numbers(at), time(at))).collect();
        case.file("silent.csv", format!("{header},ts\n{silent}")).file("gone.csv", format!("{header},ts\n{gone}"));
        for (file, cause, rows) in [("silent.csv", "idle", 0), ("gone.csv", "lost", lost)] {
            let run = case.verify(&[&[file, "--key", "n", "--time", "ts", "--cadence", "1m"], flags].concat());
            let incidents = run.stream()["incidents"].as_array().unwrap().clone();
            assert_eq!(incidents.len(), 1, "{flags:?} {}", run.stdout);
            assert_eq!(
                (incidents[0]["cause"].as_str(), incidents[0]["rows"].as_u64()),
                (Some(cause), Some(rows)),
                "{flags:?} {}",
                run.stdout
            );
        }
    }
}

/// How much memory there is, and how many threads share it, is no part of a diagnosis: also where more rows are missing than are followed one by one.
#[test]
fn a_diagnosis_does_not_follow_the_memory() {
    let rows = 160_000_i64;
    let side = |lost: bool| {
        let mut rng = StdRng::seed_from_u64(31);
        let kept: Vec<i64> = (0..rows).filter(|_| !lost || rng.random_bool(0.5)).collect();
        let times = kept.iter().map(|at| 1_709_251_200_000_000 + at * 1_000_000).collect::<Vec<_>>();
        batch(vec![
            ("id", Arc::new(Int64Array::from(kept)) as ArrayRef),
            ("ts", Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))),
        ])
    };
    let case = Case::new();
    case.parquet("a.parquet", &side(false)).parquet("b.parquet", &side(true));
    let told = |memory: &str, threads: &str| {
        let run = case.verify(&["a.parquet", "b.parquet", "--key", "id", "--time", "ts", "--memory", memory, "--threads", threads]);
        (run.stream()["incidents"].clone(), run.table("diagnoses").len())
    };
    let (incidents, diagnoses) = told("64MiB", "2");
    assert_eq!((incidents.clone(), diagnoses), told("4GiB", "1"));
    assert_eq!((incidents[0]["cause"].as_str(), incidents.as_array().unwrap().len()), (Some("partial"), 1), "{incidents}");
}

/// Silence that was planned is no loss, and nobody looks for its cause; the same silence without a plan is one.
#[test]
fn a_planned_silence_is_no_incident() {
    let case = Case::new();
    let rows: String =
        (0..240).filter(|at| !(60..90).contains(at)).map(|at| format!("{at},2024-03-01T{:02}:{:02}:00Z\n", at / 60, at % 60)).collect();
    case.file("a.csv", format!("id,ts\n{rows}"));
    let args = ["a.csv", "--key", "id", "--time", "ts", "--cadence", "1m"];
    let lost = case.verify(&args);
    assert_eq!((lost.verdict(), lost.table("incidents").len()), ("fail", 1));
    let planned = case.verify(&[&args[..], &["--maintenance", "2024-03-01T01:00:00Z/2024-03-01T01:30:00Z"]].concat());
    assert_eq!((planned.verdict(), planned.table("incidents").len(), planned.table("diagnoses").len()), ("pass", 0, 0));
    assert_eq!(planned.table("gaps").len(), 1);
    assert!(planned.stream()["stages"].as_array().unwrap().iter().all(|stage| stage["stage"] != "diagnosis"));
}

/// In a fill, rows that moved are known again where the backfill overlaps live data: the keys are on both sides, and their times differ by the shift.
#[test]
fn a_shifted_backfill_is_told_by_its_overlap() {
    let case = Case::new();
    let line = |at: i64, by: i64| {
        let time = gapless::domain::Instant::from_micros(1_709_251_200_000_000 + at * MINUTE + by);
        format!("{at},{time},{}\n", at * 7_919 % 1_009)
    };
    let live: String = (0..240).filter(|at| !(100..140).contains(at)).map(|at| line(at, 0)).collect();
    let again: String = (90..150).map(|at| line(at, HOUR)).collect();
    case.file("live.csv", format!("id,ts,value\n{live}")).file("again.csv", format!("id,ts,value\n{again}"));
    let run = case.verify(&["live.csv", "again.csv", "--mode", "fill", "--key", "id", "--time", "ts", "--cadence", "1m"]);
    assert_eq!(run.verdict(), "fail");
    let moved: Vec<_> = run.table("diagnoses").into_iter().filter(|row| row["cause"].as_deref() == Some("moved")).collect();
    assert!(!moved.is_empty(), "{}", run.stdout);
    assert!(run.stdout.contains("+1 h"), "{}", run.stdout);
}
