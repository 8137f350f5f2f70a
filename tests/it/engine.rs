//! The engine under loads that small cases never reach: tables that do not peel, suspects that do not fit in memory, keys with
//! many copies, one side empty. Every scenario is run screened and joined in full, with much memory and with little, and finds
//! what was planted each time, to the byte.

use std::fs;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
    UInt64Array,
};
use arrow::compute::{concat_batches, take_record_batch};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::support::{Case, batch};

const ROWS: i64 = 60_000;

/// Which rows of the original the backfill holds, and what it makes of them.
struct Plan {
    name: &'static str,
    /// For each row of the original: how many copies the backfill holds, and what is added to `value`.
    copies: Box<dyn Fn(i64) -> (usize, f64)>,
    missing: i64,
    mismatched: i64,
    surplus: i64,
}

fn rows(ids: &[i64], added: &[f64]) -> RecordBatch {
    let value = |id: i64, added: f64| (id % 97) as f64 / 4.0 + added;
    batch(vec![
        ("id", Arc::new(Int64Array::from(ids.to_vec())) as ArrayRef),
        ("ts", Arc::new(TimestampMicrosecondArray::from_iter_values(ids.iter().map(|id| 1_700_000_000_000_000 + id * 1_000_000)))),
        ("device", Arc::new(StringArray::from_iter_values(ids.iter().map(|id| format!("device number {}", id % 5))))),
        ("value", Arc::new(Float64Array::from_iter_values(ids.iter().zip(added).map(|(id, added)| value(*id, *added))))),
        ("note", Arc::new(StringArray::from_iter(ids.iter().map(|id| (id % 3 > 0).then(|| format!("a note of some length on row {id}")))))),
    ])
}

fn original() -> RecordBatch {
    let ids: Vec<i64> = (0..ROWS).collect();
    rows(&ids, &vec![0.0; ids.len()])
}

fn backfill(plan: &Plan) -> RecordBatch {
    let (mut ids, mut added) = (Vec::new(), Vec::new());
    for id in 0..ROWS {
        let (copies, more) = (plan.copies)(id);
        ids.extend(std::iter::repeat_n(id, copies));
        added.extend(std::iter::repeat_n(more, copies));
    }
    rows(&ids, &added)
}

fn shuffled(batch: &RecordBatch, seed: u64) -> RecordBatch {
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.shuffle(&mut StdRng::seed_from_u64(seed));
    take_record_batch(batch, &UInt32Array::from(order)).unwrap()
}

fn plans() -> Vec<Plan> {
    let plan =
        |name, copies: Box<dyn Fn(i64) -> (usize, f64)>, missing, mismatched, surplus| Plan { name, copies, missing, mismatched, surplus };
    vec![
        plan("equal", Box::new(|_| (1, 0.0)), 0, 0, 0),
        plan("all rows differ", Box::new(|_| (1, 1.0)), 0, ROWS, 0),
        plan("every second row differs", Box::new(|id| (1, f64::from(u8::from(id % 2 == 0)))), 0, ROWS / 2, 0),
        plan("the backfill is empty", Box::new(|_| (0, 0.0)), ROWS, 0, 0),
        plan("a stretch is lost", Box::new(|id| (usize::from(!(20_000..30_000).contains(&id)), 0.0)), 10_000, 0, 0),
        plan("a stretch differs", Box::new(|id| (1, if (20_000..30_000).contains(&id) { 0.25 } else { 0.0 })), 0, 10_000, 0),
        plan("one key comes 30000 times", Box::new(|id| (if id == 777 { 30_000 } else { 1 }, 0.0)), 0, 0, 29_999),
        plan("every tenth row comes twice", Box::new(|id| (1 + usize::from(id % 10 == 0), 0.0)), 0, 0, ROWS / 10),
        plan("scattered", Box::new(|id| (usize::from(id % 501 != 7), f64::from(u8::from(id % 499 == 3)))), 120, 120, 0),
    ]
}

/// Counts of rows by a simple rule, so that a scenario's numbers are not gapless's own.
fn truth(plan: &Plan) -> (i64, i64, i64) {
    let mut counts = (0, 0, 0);
    for id in 0..ROWS {
        let (copies, added) = (plan.copies)(id);
        match copies {
            0 => counts.0 += 1,
            _ if added != 0.0 => counts.1 += 1,
            more => counts.2 += more as i64 - 1,
        }
    }
    counts
}

#[test]
fn heavy_differences_are_found_alike_in_every_way() {
    for (at, plan) in plans().iter().enumerate() {
        let (missing, mismatched, surplus) = truth(plan);
        if plan.name != "scattered" {
            assert_eq!((plan.missing, plan.mismatched, plan.surplus), (missing, mismatched, surplus), "{}", plan.name);
        }
        let case = Case::new();
        case.parquet("original.parquet", &original());
        case.parquet("backfill.parquet", &backfill(plan));
        case.parquet("shuffled.parquet", &shuffled(&backfill(plan), at as u64));
        let mut first: Option<Vec<u8>> = None;
        for (backfill, how) in [
            ("backfill.parquet", &[][..]),
            ("shuffled.parquet", &["--threads", "3"]),
            ("backfill.parquet", &["--verify", "full"]),
            ("shuffled.parquet", &["--memory", "16MiB", "--threads", "1"]),
            ("shuffled.parquet", &["--verify", "full", "--memory", "16MiB"]),
        ] {
            let mut arguments = vec!["original.parquet", backfill, "--key", "id", "--time", "ts", "--no-infer", "--max-findings", "5000"];
            arguments.extend(how);
            let run = case.verify(&arguments);
            let counts = [run.count("missing_keys"), run.count("mismatched_keys"), run.count("surplus_rows"), run.count("unexpected_keys")];
            assert_eq!(counts, [Some(missing), Some(mismatched), Some(surplus), Some(0)], "{}: {how:?}", plan.name);
            let bytes = fs::read(run.report.join("findings.parquet")).unwrap();
            match &first {
                None => first = Some(bytes),
                Some(first) => assert!(*first == bytes, "{}: {how:?}: the findings differ", plan.name),
            }
        }
    }
}

#[test]
fn without_time_or_number_rows_are_bucketed_by_the_hash_of_their_key() {
    let named = |batch: RecordBatch| {
        let keys = batch.column(0).clone();
        let keys = arrow::compute::cast(&keys, &arrow::datatypes::DataType::Utf8).unwrap();
        crate::support::batch(vec![("name", keys), ("value", batch.column(3).clone())])
    };
    for plan in plans() {
        let (missing, mismatched, surplus) = truth(&plan);
        let case = Case::new();
        case.parquet("original.parquet", &named(original()));
        case.parquet("backfill.parquet", &named(backfill(&plan)));
        let run = case.verify(&["original.parquet", "backfill.parquet", "--key", "name", "--no-infer", "--max-findings", "100"]);
        let counts = [run.count("missing_keys"), run.count("mismatched_keys"), run.count("surplus_rows")];
        assert_eq!(counts, [Some(missing), Some(mismatched), Some(surplus)], "{}", plan.name);
    }
}

#[test]
fn a_single_side_and_a_fill_find_what_comes_twice() {
    let plan = &plans()[7];
    let case = Case::new();
    let twice = shuffled(&backfill(plan), 4);
    case.parquet("twice.parquet", &twice);
    for memory in ["16MiB", "1GiB"] {
        let run = case.verify(&["twice.parquet", "--key", "id", "--time", "ts", "--no-infer", "--memory", memory]);
        assert_eq!(run.count("duplicate_keys"), Some(ROWS / 10));
        // A fill whose overlap is every row.
        case.parquet("original.parquet", &original());
        let run = case.verify(&[
            "original.parquet",
            "original.parquet",
            "--mode",
            "fill",
            "--key",
            "id",
            "--time",
            "ts",
            "--cadence",
            "1s",
            "--no-infer",
            "--memory",
            memory,
        ]);
        assert_eq!(run.count("duplicate_keys"), Some(ROWS), "{memory}");
    }
    let run = case.verify(&["twice.parquet", "twice.parquet", "--key", "id", "--time", "ts", "--no-infer", "--duplicates", "all"]);
    assert_eq!((run.count("duplicate_keys"), run.count("matched_keys")), (Some(ROWS / 10), Some(ROWS)));
    let run = case.verify(&["twice.parquet", "twice.parquet", "--key", "id", "--time", "ts", "--no-infer"]);
    assert_eq!((run.count("duplicate_keys"), run.count("matched_keys")), (Some(0), Some(ROWS + ROWS / 10)));
}

#[test]
fn a_row_whose_time_moved_far_is_one_mismatch() {
    let original = original();
    let mut rng = StdRng::seed_from_u64(6);
    let moved: Vec<i64> = (0..ROWS).map(|id| if id == 100 { 59_000 } else { id }).collect();
    let times = TimestampMicrosecondArray::from_iter_values(moved.iter().map(|id| 1_700_000_000_000_000 + id * 1_000_000));
    let mut columns = original.columns().to_vec();
    columns[1] = Arc::new(times);
    let backfill = RecordBatch::try_new(original.schema(), columns).unwrap();
    let backfill = concat_batches(&original.schema(), [&backfill.slice(rng.random_range(1..9), 0), &backfill]).unwrap();
    let case = Case::new();
    case.parquet("original.parquet", &original);
    case.parquet("backfill.parquet", &backfill);
    let run = case.verify(&["original.parquet", "backfill.parquet", "--key", "id", "--time", "ts", "--no-infer"]);
    assert_eq!((run.count("mismatched_keys"), run.count("missing_keys"), run.count("unexpected_keys")), (Some(1), Some(0), Some(0)));
    assert_eq!(run.of("value_mismatch").len(), 1);
    assert_eq!(run.of("value_mismatch")[0].column.as_deref(), Some("ts"));
}

/// A backfill with faults of all kinds at random, in an order of its own.
fn random_backfill(rng: &mut StdRng, rows: i64) -> (Vec<i64>, Vec<f64>) {
    let rate = [0.0, 0.0005, 0.01, 0.2][rng.random_range(0..4)];
    let lost = rng.random_range(0..rows);
    let lost = lost..lost + if rng.random_bool(0.5) { rng.random_range(0..rows / 5) } else { 0 };
    let mut held: Vec<(i64, f64)> = Vec::new();
    let mut late: Vec<(i64, f64)> = Vec::new();
    for id in 0..rows {
        if lost.contains(&id) || rng.random_bool(rate) {
            continue;
        }
        let row = (id, if rng.random_bool(rate) { 0.5 } else { 0.0 });
        held.push(row);
        if rng.random_bool(rate) {
            // A copy, near or far, that agrees or does not.
            let copy = (id, if rng.random_bool(0.3) { 0.75 } else { row.1 });
            if rng.random_bool(0.5) { held.push(copy) } else { late.push(copy) }
        }
        if rng.random_bool(rate / 4.0) {
            held.push((rows + id, 0.0));
        }
    }
    held.extend(late);
    match rng.random_range(0..5) {
        0 => held.shuffle(rng),
        1 => held.reverse(),
        2 => {
            // A block that was written at another time, shuffled.
            let from = rng.random_range(0..held.len());
            let until = rng.random_range(from..held.len());
            let mut block: Vec<_> = held.drain(from..until).collect();
            block.shuffle(rng);
            let at = rng.random_range(0..=held.len());
            held.splice(at..at, block);
        }
        _ => {}
    }
    held.into_iter().unzip()
}

#[test]
fn random_plans_are_found_alike_however_the_sides_are_read() {
    const ROWS: i64 = 40_000;
    let seeds = std::env::var("GAPLESS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    for seed in 0..seeds {
        let mut rng = StdRng::seed_from_u64(seed + 900);
        let ids: Vec<i64> = (0..ROWS).collect();
        let case = Case::new();
        case.parquet("original.parquet", &rows(&ids, &vec![0.0; ids.len()]));
        let (ids, added) = random_backfill(&mut rng, ROWS);
        let backfill = rows(&ids, &added);
        case.parquet("backfill/0.parquet", &backfill);
        // The same rows in other files.
        let cuts = [0, rng.random_range(0..backfill.num_rows()), backfill.num_rows()];
        for pair in cuts.windows(2) {
            let name = format!("split/{}.parquet", 9 - pair[0].min(9));
            let properties = WriterProperties::builder()
                .set_max_row_group_row_count(Some(rng.random_range(500..9_000)))
                .set_dictionary_enabled(rng.random())
                .set_compression(
                    [Compression::SNAPPY, Compression::ZSTD(ZstdLevel::default()), Compression::UNCOMPRESSED][rng.random_range(0..3)],
                );
            case.parquet_as(&name, &backfill.slice(pair[0], pair[1] - pair[0]), properties.build());
        }
        for keyed in [true, false] {
            let mut first: Option<(Vec<u8>, serde_json::Value)> = None;
            for (backfill, batch_size, how) in [
                ("backfill", 8_192, &["--verify", "full"][..]),
                ("backfill", 8_192, &[]),
                ("backfill", 256, &["--threads", "1"]),
                ("split", 1_000, &["--threads", "5"]),
                // So little that nothing can be listed, and values cannot be held.
                ("split", 512, &["--memory", "16MiB"]),
                ("backfill", 512, &["--memory", "16MiB", "--threads", "4"]),
            ] {
                let mut arguments = vec!["original.parquet", backfill, "--time", "ts", "--no-infer", "--max-findings", "3000"];
                arguments.extend(if keyed { &["--key", "id"][..] } else { &["--keyless"] });
                arguments.extend(how);
                let run = case.verify_with(&arguments, &[("GAPLESS_BATCH_SIZE", &batch_size.to_string())]);
                let bytes = fs::read(run.report.join("findings.parquet")).unwrap();
                let counts = run.stream()["counts"].clone();
                match &first {
                    None => first = Some((bytes, counts)),
                    Some((findings, wanted)) => {
                        assert_eq!(counts, *wanted, "seed {seed}, keyed {keyed}: {how:?}");
                        assert!(bytes == *findings, "seed {seed}, keyed {keyed}: {how:?}: the findings differ");
                    }
                }
            }
        }
    }
}

/// A row of a series: its number, its time and a value.
fn of_series(rows: &[(i64, i64, i64)]) -> RecordBatch {
    let at = |seq: i64| 1_767_225_600_000_000 + seq * 10_000_000;
    batch(vec![
        ("device", Arc::new(rows.iter().map(|row| Some(format!("d{}", row.0))).collect::<StringArray>()) as ArrayRef),
        ("seq", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1)))),
        ("ts", Arc::new(rows.iter().map(|row| Some(at(row.1))).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))),
        ("value", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2)))),
    ])
}

/// More series than fit the memory are judged in slices: every table of the report is what it is with ample memory, for series side by side, one after another
/// and in no order, for one side, two sides and a fill, whatever is asked of them.
#[test]
fn series_in_slices_are_judged_as_all_at_once() {
    const SERIES: i64 = 3_000;
    const TABLES: [&str; 8] = ["findings", "finding_counts", "windows", "spans", "gaps", "seams", "incidents", "diagnoses"];
    let seeds = std::env::var("GAPLESS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in 0..seeds {
        let mut rng = StdRng::seed_from_u64(seed + 4_100);
        let mut all: Vec<(i64, i64, i64)> = (0..12).flat_map(|seq| (0..SERIES).map(move |device| (device, seq, device * seq))).collect();
        all.retain(|row| row.0 % 97 != 5 || !(4..7).contains(&row.1));
        let mut other = all.clone();
        other.retain(|row| rng.random_range(0..900) != 0 && row.0 != 17);
        for row in &mut other {
            row.2 += i64::from(rng.random_range(0..900) == 0);
        }
        let copies: Vec<_> = other.iter().filter(|row| (row.0 + row.1) % 801 == 0).copied().collect();
        other.extend(copies);
        other.shuffle(&mut rng);
        let lost = |row: &(i64, i64, i64)| row.0 % 3 == 0 && (8..10).contains(&row.1);
        let live: Vec<_> = all.iter().filter(|row| !lost(row)).copied().collect();
        let again: Vec<_> = all.iter().filter(|row| row.0 % 3 == 0 && (7..10).contains(&row.1) && row.0 % 30 != 0).copied().collect();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        let case = Case::new();
        for (name, rows) in [("all", &all), ("other", &other), ("live", &live), ("again", &again), ("sorted", &sorted)] {
            let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rng.random_range(2_000..9_000))).build();
            case.parquet_as(&format!("{name}.parquet"), &of_series(rows), properties);
        }
        for sides in [
            &["all.parquet", "--cadence", "10s"][..],
            &["sorted.parquet", "other.parquet", "--window", "1m", "--expect", "like_original"],
            &["all.parquet", "other.parquet", "--cadence", "10s", "--duplicates", "all"],
            &["live.parquet", "again.parquet", "--mode", "fill", "--cadence", "10s"],
            &["other.parquet", "--cadence", "learn"],
        ] {
            let mut arguments = sides.to_vec();
            arguments.extend(["--key", "device,seq", "--time", "ts", "--series", "device", "--sequence", "seq", "--no-infer"]);
            let mut first: Option<(Vec<Vec<u8>>, serde_json::Value)> = None;
            for (batch_size, memory, threads) in [("8192", "2GiB", "2"), ("700", "16MiB", "2"), ("300", "16MiB", "5")] {
                let mut arguments = arguments.clone();
                arguments.extend(["--memory", memory, "--threads", threads]);
                let run = case.verify_with(&arguments, &[("GAPLESS_BATCH_SIZE", batch_size)]);
                let tables: Vec<Vec<u8>> =
                    TABLES.iter().map(|name| fs::read(run.report.join(format!("{name}.parquet"))).unwrap()).collect();
                let mut stream = run.stream().clone();
                let slices = stream["stages"].as_array().unwrap().iter().filter(|stage| stage["stage"] == "further series").count();
                assert_eq!(slices > 0, memory == "16MiB", "{sides:?}, {memory}: {slices} further passes");
                stream["stages"] = serde_json::Value::Null;
                stream["elapsed_ms"] = serde_json::Value::Null;
                stream["checks"].as_array_mut().unwrap().iter_mut().for_each(|check| check["duration_ms"] = serde_json::Value::Null);
                match &first {
                    None => first = Some((tables, stream)),
                    Some((wanted, told)) => {
                        for (name, value) in told.as_object().unwrap() {
                            assert_eq!(stream[name], *value, "seed {seed}, {sides:?}: {memory}, {threads} threads: {name}");
                        }
                        for ((name, mine), wanted) in TABLES.iter().zip(&tables).zip(wanted) {
                            assert!(mine == wanted, "seed {seed}, {sides:?}: {memory}, {threads} threads: {name} differs");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn rows_that_cannot_be_spilled_are_a_clear_error() {
    let case = Case::new();
    case.parquet("original.parquet", &original());
    case.parquet("backfill.parquet", &backfill(&plans()[1]));
    let arguments =
        ["verify", "original.parquet", "backfill.parquet", "--key", "id", "--no-infer", "--memory", "16MiB", "--verify", "full"];
    let run = case.run_with(&arguments, &[("TMPDIR", "no/such/folder")]);
    assert_eq!(run.code, Some(3), "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("incomplete") || run.stdout.contains("INCOMPLETE"), "{}", run.stdout);
    assert!(run.stdout.contains("no/such/folder"), "{}", run.stdout);
}

#[test]
fn dictionaries_that_change_from_batch_to_batch_can_be_spilled() {
    let with_dictionary = |batch: RecordBatch| {
        let text = arrow::datatypes::DataType::Utf8;
        let kind = arrow::datatypes::DataType::Dictionary(Box::new(arrow::datatypes::DataType::Int32), Box::new(text));
        let columns = ["id", "ts", "device", "value", "note"].into_iter().zip(batch.columns().iter().cloned());
        let columns = columns.map(|(name, column)| match name {
            "device" | "note" => (name, arrow::compute::cast(&column, &kind).unwrap()),
            _ => (name, column),
        });
        crate::support::batch(columns.collect())
    };
    let case = Case::new();
    let groups = || WriterProperties::builder().set_max_row_group_row_count(Some(500)).build();
    case.parquet_as("original.parquet", &with_dictionary(original()), groups());
    case.parquet_as("backfill.parquet", &with_dictionary(backfill(&plans()[1])), groups());
    for how in ["screen", "full"] {
        let run = case.verify(&["original.parquet", "backfill.parquet", "--key", "id", "--no-infer", "--memory", "16MiB", "--verify", how]);
        assert_eq!((run.verdict(), run.count("mismatched_keys")), ("fail", Some(ROWS)), "{how}");
    }
    let run = case.verify(&["original.parquet", "original.parquet", "--key", "id", "--no-infer", "--memory", "16MiB", "--verify", "full"]);
    assert_eq!(run.verdict(), "pass");
}

/// Rows with a key in several forms: one number, a number within a series, two numbers (negative ones among them), a time within a series, text.
fn keyed_rows(held: &[(i64, f64)]) -> RecordBatch {
    let ids = held.iter().map(|(id, _)| *id);
    let high = |id: i64| id / 16 - 700;
    batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(ids.clone())) as ArrayRef),
        ("ts", Arc::new(TimestampMicrosecondArray::from_iter_values(ids.clone().map(|id| 1_700_000_000_000_000 + id * 1_000_000)))),
        ("device", Arc::new(Int32Array::from_iter_values(ids.clone().map(|id| (id % 7) as i32)))),
        ("seq", Arc::new(UInt64Array::from_iter_values(ids.clone().map(|id| (id / 7) as u64)))),
        ("high", Arc::new(Int64Array::from_iter_values(ids.clone().map(high)))),
        ("low", Arc::new(Int16Array::from_iter_values(ids.clone().map(|id| (id % 16 - 8) as i16)))),
        ("name", Arc::new(StringArray::from_iter_values(ids.map(|id| format!("n{id}"))))),
        ("value", Arc::new(Float64Array::from_iter_values(held.iter().map(|(id, added)| (id % 97) as f64 + added)))),
    ])
}

#[test]
fn keys_that_come_twice_are_found_in_every_form_and_order() {
    const ROWS: i64 = 10_000;
    let keys = ["id", "device,seq", "high,low", "device,ts", "name", "seq,device"];
    let seeds = std::env::var("GAPLESS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in 0..seeds {
        let mut rng = StdRng::seed_from_u64(seed + 4_000);
        let case = Case::new();
        let hole = ROWS / 3..ROWS / 2;
        let outside: Vec<(i64, f64)> = (0..ROWS).filter(|id| !hole.contains(id)).map(|id| (id, 0.0)).collect();
        // Rising, with a few copies near and far, and in no order.
        let mut copied = outside.clone();
        for _ in 0..40 {
            let (id, added) = copied[rng.random_range(0..copied.len())];
            let at = if rng.random() { copied.len() } else { rng.random_range(0..copied.len()) };
            copied.insert(at, (id, if rng.random_bool(0.3) { 0.5 } else { added }));
        }
        let mut mixed = copied.clone();
        mixed.shuffle(&mut rng);
        for (name, held) in [("outside", &outside), ("copied", &copied), ("mixed", &mixed)] {
            case.parquet(&format!("{name}.parquet"), &keyed_rows(held));
        }
        let again: Vec<(i64, f64)> =
            (hole.start - 20..hole.end + 20).map(|id| (id, if id == hole.start - 3 { 0.25 } else { 0.0 })).collect();
        case.parquet("again.parquet", &keyed_rows(&again));
        for key in keys {
            let series = ["--series", "device"];
            let of_series = key.contains("device");
            for (sides, mode) in [
                (&["copied.parquet"][..], &[][..]),
                (&["mixed.parquet"], &[]),
                (&["outside.parquet", "again.parquet"], &["--mode", "fill"]),
                (&["mixed.parquet", "again.parquet"], &["--mode", "fill"]),
                (&["copied.parquet", "copied.parquet"], &["--duplicates", "all"]),
            ] {
                let mut first: Option<(Vec<u8>, serde_json::Value)> = None;
                for how in [&["--verify", "full"][..], &[], &["--threads", "3", "--memory", "16MiB"]] {
                    let mut arguments = sides.to_vec();
                    arguments.extend(["--key", key, "--time", "ts", "--cadence", "7s", "--no-infer", "--no-diagnosis"]);
                    arguments.extend(mode.iter().chain(how));
                    if of_series {
                        arguments.extend(series);
                    }
                    let run = case.verify(&arguments);
                    let bytes = fs::read(run.report.join("findings.parquet")).unwrap();
                    let counts = run.stream()["counts"].clone();
                    match &first {
                        None => {
                            assert!(run.count("duplicate_keys") > Some(20), "seed {seed}, {key}, {sides:?}: {counts}");
                            first = Some((bytes, counts));
                        }
                        Some((findings, wanted)) => {
                            assert_eq!(counts, *wanted, "seed {seed}, {key}, {sides:?}: {how:?}");
                            assert!(bytes == *findings, "seed {seed}, {key}, {sides:?}: {how:?}: the findings differ");
                        }
                    }
                }
            }
        }
    }
}
