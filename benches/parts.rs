//! The parts of the first pass, each alone: row checksums by type and width, the sketch, pairing side by side, spans.
//!
//! `GAPLESS_BENCH_ROWS` says how many rows a bench works on. Each holds its result against one that was computed in another way, or is
//! known from how the data was made: what was timed was a right answer. Rows a second are items, and for the checksums bytes are those of the
//! Arrow buffers that hold the values.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench that cannot run must stop")]

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, DictionaryArray, Float64Array, Int16Array, Int32Array,
    Int64Array, ListArray, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Int32Type, i256};
use arrow::record_batch::RecordBatch;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use gapless::checks::bench_parts::{BucketsPart, PairingPart, SketchPart};
use gapless::domain::{RowHashing, Seed, SequenceCoverage, Side, TimeCoverage};
use gapless::job::build;
use gapless::job::raw::{RawJob, RawSide, RawStream};
use gapless::staging::{PairedColumn, Prepared, comparable};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

const ROWS_A_BATCH: usize = 8_192;

fn main() {
    divan::main();
}

/// Without `--bench` this is `cargo test --benches`: one run of each, on little.
fn rows() -> usize {
    std::env::var("GAPLESS_BENCH_ROWS").map_or_else(
        |_| {
            if std::env::args().any(|argument| argument == "--bench") { 1 << 20 } else { ROWS_A_BATCH }
        },
        |text| text.parse().expect("GAPLESS_BENCH_ROWS is a number of rows"),
    )
}

fn random(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

mod checksum {
    use super::*;

    const TYPES: [&str; 19] = [
        "boolean",
        "int16",
        "int32",
        "int64",
        "int64 with NULLs",
        "float64",
        "decimal(12,2)",
        "decimal(38,20)",
        "decimal(76,40)",
        "timestamp",
        "date",
        "text of 4",
        "text of 12",
        "text of 40",
        "text of 400",
        "text view of 12",
        "text view of 40",
        "dictionary of 100 texts",
        "list of 3",
    ];

    fn batch(what: &str, rows: usize) -> ArrayRef {
        let mut rng = random(7);
        let text = |rng: &mut StdRng, length: usize| -> String { (0..length).map(|_| char::from(rng.random_range(b'a'..=b'z'))).collect() };
        let length = || what.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
        match what {
            "boolean" => Arc::new((0..rows).map(|_| Some(rng.random::<bool>())).collect::<BooleanArray>()),
            "int16" => Arc::new(Int16Array::from_iter_values((0..rows).map(|_| rng.random::<i16>()))),
            "int32" => Arc::new(Int32Array::from_iter_values((0..rows).map(|_| rng.random::<i32>()))),
            "int64" => Arc::new(Int64Array::from_iter_values((0..rows).map(|_| rng.random::<i64>()))),
            "int64 with NULLs" => Arc::new((0..rows).map(|_| rng.random_bool(0.8).then(|| rng.random::<i64>())).collect::<Int64Array>()),
            "float64" => Arc::new(Float64Array::from_iter_values((0..rows).map(|_| rng.random::<f64>() * 1e6))),
            "decimal(12,2)" => {
                let values = (0..rows).map(|_| i128::from(rng.random_range(0..10_i64.pow(12))));
                Arc::new(Decimal128Array::from_iter_values(values).with_precision_and_scale(12, 2).unwrap())
            }
            "decimal(38,20)" => {
                let values = (0..rows).map(|_| rng.random_range(0..10_i128.pow(30)));
                Arc::new(Decimal128Array::from_iter_values(values).with_precision_and_scale(38, 20).unwrap())
            }
            "decimal(76,40)" => {
                let values = (0..rows).map(|_| i256::from_parts(rng.random(), rng.random::<i128>() >> 12));
                Arc::new(Decimal256Array::from_iter_values(values).with_precision_and_scale(76, 40).unwrap())
            }
            "timestamp" => {
                Arc::new(TimestampMicrosecondArray::from_iter_values((0..rows).map(|row| 1_700_000_000_000_000 + row as i64 * 1_000_003)))
            }
            "date" => Arc::new(Date32Array::from_iter_values((0..rows).map(|_| rng.random_range(0..30_000)))),
            "dictionary of 100 texts" => {
                let words: Vec<String> = (0..100).map(|_| text(&mut rng, 12)).collect();
                Arc::new((0..rows).map(|_| Some(words[rng.random_range(0..words.len())].as_str())).collect::<DictionaryArray<Int32Type>>())
            }
            "list of 3" => {
                let items = (0..rows).map(|_| Some((0..3).map(|_| Some(rng.random::<i32>())).collect::<Vec<_>>()));
                Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(items))
            }
            views if views.starts_with("text view") => {
                Arc::new(StringViewArray::from_iter_values((0..rows).map(|_| text(&mut rng, length()))))
            }
            _ => Arc::new(StringArray::from_iter_values((0..rows).map(|_| text(&mut rng, length())))),
        }
    }

    fn hash(hashing: &RowHashing, batches: &[(ArrayRef, usize)], states: &mut [u128]) -> u128 {
        let mut sum = 0_u128;
        for (array, width) in batches {
            let states = &mut states[..array.len()];
            states.fill(0);
            for column in 0..*width {
                hashing.absorb(column, array.as_ref(), states).unwrap();
            }
            hashing.finish_rows(states);
            sum = states.iter().fold(sum, |sum, state| sum.wrapping_add(*state));
        }
        sum
    }

    fn time_and_prove(bencher: Bencher<'_, '_>, what: &str, width: usize, portable: bool) {
        let rows = rows() / width;
        let whole = rows / ROWS_A_BATCH + usize::from(!rows.is_multiple_of(ROWS_A_BATCH));
        let array = batch(what, ROWS_A_BATCH.min(rows));
        let batches = vec![(array.clone(), width); whole];
        let names: Vec<String> = (0..width).map(|column| format!("column {column}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let hashing = RowHashing::new(&Seed::default(), &names);
        let timed = if portable { hashing.clone().portable() } else { hashing.clone() };
        let mut states = vec![0; ROWS_A_BATCH];
        // What a slice of an array takes, not what its buffers could hold.
        let bytes = array.to_data().get_slice_memory_size().unwrap() * width * whole;
        let mut found = 0;
        bencher
            .counter(ItemsCount::new(array.len() * whole))
            .counter(BytesCount::new(bytes))
            .bench_local(|| found = black_box(hash(&timed, &batches, &mut states)));
        // The other path, on halves of the batch: slices hash as what they show.
        let other = if portable { hashing } else { hashing.portable() };
        let half = array.len() / 2;
        let halves = [(array.slice(0, half), width), (array.slice(half, array.len() - half), width)];
        assert_eq!(found, hash(&other, &halves, &mut states).wrapping_mul(whole as u128), "{what}");
    }

    /// One column.
    #[divan::bench(args = TYPES, sample_count = 20)]
    fn of_a_type(bencher: Bencher<'_, '_>, what: &str) {
        time_and_prove(bencher, what, 1, false);
    }

    /// One column, without special instructions.
    #[divan::bench(args = ["int64", "text of 40"], sample_count = 20)]
    fn portable(bencher: Bencher<'_, '_>, what: &str) {
        time_and_prove(bencher, what, 1, true);
    }

    /// So many columns of 64-bit integers; rows are fewer by as much.
    #[divan::bench(args = [1, 4, 16, 64, 200], sample_count = 20)]
    fn of_a_width(bencher: Bencher<'_, '_>, width: usize) {
        time_and_prove(bencher, "int64", width, false);
    }
}

mod sketch {
    use super::*;

    /// Cells in a third of a bucket's table.
    const THIRD: usize = 128;
    /// What a tag keeps of a key.
    const LOW: u128 = (1 << 48) - 1;

    fn sums(seed: u64, rows: usize) -> (Vec<u128>, Vec<u128>) {
        let mut rng = random(seed);
        ((0..rows).map(|_| rng.random()).collect(), (0..rows).map(|_| rng.random()).collect())
    }

    fn tags(keys: &[u128]) -> BTreeSet<u64> {
        keys.iter().map(|key| (key & LOW) as u64).collect()
    }

    /// Both sides, equal but for so many rows.
    #[divan::bench(args = [0, 100, 250], sample_count = 20)]
    fn update(bencher: Bencher<'_, '_>, differing: usize) {
        let (checksums, keys) = sums(1, rows());
        let cut = checksums.len() - differing;
        let mut sketch = SketchPart::new(THIRD);
        bencher.counter(ItemsCount::new(checksums.len() + cut)).bench_local(|| {
            sketch = SketchPart::new(THIRD);
            sketch.add(Side::Original, &checksums, &keys);
            sketch.add(Side::Backfill, &checksums[..cut], &keys[..cut]);
        });
        let named: BTreeSet<u64> = sketch.peel().expect("the table peels").into_iter().collect();
        assert_eq!(named, tags(&keys[cut..]));
    }

    /// Rows in the order of their positions, in buckets, which are coarsened on the way.
    #[divan::bench(args = [16, 1_024], sample_count = 20)]
    fn update_buckets(bencher: Bencher<'_, '_>, most: usize) {
        let (checksums, keys) = sums(2, rows());
        let positions: Vec<Option<i64>> = (0..checksums.len()).map(|row| Some(row as i64 * 1_000_003)).collect();
        // One row of the middle, and the last one, are on the original only.
        let middle = checksums.len() / 2;
        let lost = [middle, checksums.len() - 1];
        let mut buckets = BucketsPart::new(most);
        bencher.counter(ItemsCount::new(2 * checksums.len() - 2)).bench_local(|| {
            buckets = BucketsPart::new(most);
            buckets.add(Side::Original, &positions, &checksums, &keys);
            for part in [0..lost[0], lost[0] + 1..lost[1]] {
                buckets.add(Side::Backfill, &positions[part.clone()], &checksums[part.clone()], &keys[part]);
            }
        });
        let named: BTreeSet<u64> = buckets.peel().expect("all tables peel").into_iter().collect();
        assert_eq!(named, tags(&lost.map(|row| keys[row])));
    }

    /// So many rows in a table of 384 cells; the last are too many.
    #[divan::bench(args = [10, 100, 250, 280, 2_000], sample_count = 100)]
    fn peel(bencher: Bencher<'_, '_>, differing: usize) {
        let (checksums, keys) = sums(3, differing);
        let mut sketch = SketchPart::new(THIRD);
        sketch.add(Side::Original, &checksums, &keys);
        let mut named = None;
        bencher
            .counter(ItemsCount::new(differing))
            .with_inputs(|| sketch.clone())
            .bench_local_values(|sketch| named = black_box(sketch.peel()));
        let expected = (differing < 3 * THIRD).then(|| tags(&keys));
        assert_eq!(named.map(|named| named.into_iter().collect::<BTreeSet<_>>()), expected);
    }

    #[divan::bench(sample_count = 100)]
    fn merge(bencher: Bencher<'_, '_>) {
        let (checksums, keys) = sums(4, 200);
        let (mut one, mut other) = (SketchPart::new(THIRD), SketchPart::new(THIRD));
        one.add(Side::Original, &checksums[..100], &keys[..100]);
        other.add(Side::Backfill, &checksums[100..], &keys[100..]);
        let mut merged = one.clone();
        bencher.bench_local(|| {
            merged = one.clone();
            merged.merge(&other);
        });
        assert_eq!(merged.peel().map(|named| named.into_iter().collect()), Some(tags(&keys)));
    }
}

mod pairing {
    use super::*;

    /// A stream of an id, a time and a number, keyed by the id.
    fn prepared(schema: &arrow::datatypes::Schema) -> Prepared {
        let side = |path: &str| Some(RawSide { path: Some(path.to_string()), ..RawSide::default() });
        let words = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let flags = RawStream {
            original: side("original.parquet"),
            backfill: side("backfill.parquet"),
            key: Some(words(&["id"])),
            time: Some("ts".to_string()),
            ..RawStream::default()
        };
        let job = build(RawJob::default(), &flags, &[], None).unwrap();
        let paired = schema.fields().iter().map(|field| {
            let pairing = comparable(field.data_type(), field.data_type()).unwrap();
            PairedColumn {
                name: field.name().clone(),
                common: pairing.common,
                conversions: pairing.conversions,
                compared: true,
                tolerance: None,
                text: Vec::new(),
            }
        });
        Prepared {
            stream: job.streams.into_iter().next().unwrap(),
            sides: Vec::new(),
            paired: paired.collect(),
            key: Some(vec![0]),
            time: Some(1),
            series: Vec::new(),
            sequence: None,
            sequence_last: None,
            payload: None,
            ingest: None,
            schema_facts: Vec::new(),
        }
    }

    fn batches(rows: &[i64], changed: &HashSet<i64>) -> Vec<RecordBatch> {
        rows.chunks(ROWS_A_BATCH)
            .map(|rows| {
                let values = rows.iter().map(|row| row * 7 + i64::from(changed.contains(row)));
                RecordBatch::try_from_iter([
                    ("id", Arc::new(Int64Array::from(rows.to_vec())) as ArrayRef),
                    ("ts", Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row * 1_000_000)))),
                    ("v", Arc::new(Int64Array::from_iter_values(values))),
                ])
                .unwrap()
            })
            .collect()
    }

    /// Checksums are there already: what is timed is finding the partners of rows, and holding what has none.
    #[divan::bench(args = ["equal", "one row in 1000 changed", "a tenth missing", "swapped neighbours"], sample_count = 20)]
    fn side_by_side(bencher: Bencher<'_, '_>, fault: &str) {
        let all: Vec<i64> = (0..rows() as i64).collect();
        let (mut kept, mut changed, mut expected) = (all.clone(), HashSet::new(), [0, 0]);
        match fault {
            "one row in 1000 changed" => {
                changed = all.iter().copied().filter(|row| row % 1_000 == 500).collect();
                expected = [changed.len() as u64; 2];
            }
            "a tenth missing" => {
                let tenth = all.len() / 10;
                kept.drain(4 * tenth..5 * tenth);
                expected = [tenth as u64, 0];
            }
            "swapped neighbours" => (0..kept.len() - 1).step_by(200).for_each(|row| kept.swap(row, row + 1)),
            _ => {}
        }
        let (original, backfill) = (batches(&all, &HashSet::new()), batches(&kept, &changed));
        let schema = original[0].schema();
        let pairing = PairingPart::new(&prepared(&schema), &schema, 1 << 30);
        let pieces = [pairing.pieces(Side::Original, &original).unwrap(), pairing.pieces(Side::Backfill, &backfill).unwrap()];
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut left = None;
        bencher
            .counter(ItemsCount::new(all.len() + kept.len()))
            .with_inputs(|| [pieces[0].copy(), pieces[1].copy()])
            .bench_local_values(|pieces| left = runtime.block_on(pairing.run(pieces)).unwrap());
        assert_eq!(left, Some(expected), "{fault}");
    }
}

mod spans {
    use super::*;

    const ORDERS: [&str; 3] = ["sorted", "nearly sorted", "shuffled"];
    const SECOND: i128 = 1_000_000_000;

    /// So many numbers with a hole of a tenth in the middle.
    fn numbers(order: &str) -> Vec<i128> {
        let count = rows() as i128;
        let mut numbers: Vec<i128> = (0..count).map(|at| if at < count / 2 { at } else { at + count / 10 }).collect();
        match order {
            "nearly sorted" => numbers.chunks_mut(4).for_each(|few| few.reverse()),
            "shuffled" => numbers.shuffle(&mut random(5)),
            _ => {}
        }
        numbers
    }

    #[divan::bench(args = ORDERS, sample_count = 10)]
    fn time(bencher: Bencher<'_, '_>, order: &str) {
        let times: Vec<i128> = numbers(order).into_iter().map(|at| at * SECOND).collect();
        let mut spans = Vec::new();
        bencher.counter(ItemsCount::new(times.len())).bench_local(|| {
            let mut coverage = TimeCoverage::new(Some(2 * SECOND));
            times.iter().for_each(|at| coverage.add(*at));
            spans = coverage.spans();
        });
        let count = rows() as i128;
        let found: Vec<(i128, i128, u64)> = spans.iter().map(|span| (span.first / SECOND, span.last / SECOND, span.rows)).collect();
        let half = count / 2;
        assert_eq!(found, [(0, half - 1, half as u64), (half + count / 10, count - 1 + count / 10, (count - half) as u64)]);
    }

    #[divan::bench(args = ORDERS, sample_count = 10)]
    fn sequence(bencher: Bencher<'_, '_>, order: &str) {
        let numbers = numbers(order);
        let (mut spans, mut repeated) = (Vec::new(), Vec::new());
        bencher.counter(ItemsCount::new(numbers.len())).bench_local(|| {
            let mut coverage = SequenceCoverage::default();
            numbers.iter().for_each(|number| coverage.add(*number));
            (spans, repeated) = (coverage.spans(), coverage.repeated());
        });
        let count = rows() as i128;
        let found: Vec<(i128, i128)> = spans.iter().map(|span| (span.from, span.until)).collect();
        assert_eq!(found, [(0, count / 2), (count / 2 + count / 10, count + count / 10)]);
        assert!(repeated.is_empty());
    }
}
