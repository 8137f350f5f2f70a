//! Random and hostile files, read in stretches and by Arrow's reader. Where a file is regular both must give the same cells; where it is
//! not, that must be seen.

use std::io::{Cursor, Read};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::stretches::{Stretches, Trouble};
use super::*;
use crate::source::listing::Compression;

fn reading(delimiter: u8, header: bool, null_values: &[&str]) -> CsvReading {
    let null_values = null_values.iter().map(|value| (*value).to_string()).collect();
    CsvReading { delimiter, header, null_values, compression: Compression::None }
}

type Rows = Vec<Vec<Option<String>>>;

/// By Arrow's reader; the rows before an error, and whether there was one.
fn by_arrow(bytes: &[u8], reading: &CsvReading, columns: usize) -> (Rows, bool) {
    let fields: Vec<Field> = (0..columns).map(|at| Field::new(format!("c{at}"), DataType::Utf8, true)).collect();
    let mut rows = Rows::new();
    for batch in irregular::batches(reading, Cursor::new(bytes), Arc::new(Schema::new(fields)), 1).unwrap() {
        let Ok(batch) = batch else { return (rows, true) };
        for row in 0..batch.num_rows() {
            let cell = |column: &arrow::array::ArrayRef| {
                let column = column.as_string::<i32>();
                (!arrow::array::Array::is_null(column, row)).then(|| column.value(row).to_string())
            };
            rows.push(batch.columns().iter().map(cell).collect());
        }
    }
    (rows, false)
}

/// Gives a few bytes at a time.
struct Dribble<'a>(&'a [u8], StdRng);

impl Read for Dribble<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = self.1.random_range(1..20).min(into.len());
        self.0.read(&mut into[..most])
    }
}

/// In stretches of a place of the file; `None` where it is not regular. And where each stretch ends.
fn in_stretches(reader: impl Read, reading: &CsvReading, columns: usize, from: u64, left: u64) -> Option<(Rows, Vec<u64>)> {
    let nulls = Nulls::new(&reading.null_values);
    let mut stretches = Stretches::new(reader, columns, reading.delimiter, reading.header, from, left);
    let (mut rows, mut places) = (Rows::new(), Vec::new());
    loop {
        let part = match stretches.next() {
            Ok(Some(part)) => part,
            Ok(None) => return Some((rows, places)),
            Err(Trouble::Irregular(given)) => {
                assert_eq!(given, rows.len() as u64);
                return None;
            }
            Err(Trouble::Failed(error)) => panic!("{error}"),
        };
        places.push(part.place);
        for row in part.rows.clone() {
            rows.push((0..columns).map(|column| nulls.value(part.stretch.cell(row, column)).map(str::to_string)).collect());
        }
    }
}

/// A file of some columns, most of them regular.
fn hostile(random: &mut StdRng, delimiter: char, columns: usize, rows: usize) -> Vec<u8> {
    let ends = ["\n", "\r\n", "\r", "\n\n", "\r\n\r\n"];
    let kinds = if random.random_bool(0.2) { ends.len() } else { 2 };
    let end = ends[random.random_range(0..kinds)];
    let mut text = String::new();
    if random.random_bool(0.1) {
        text.push('\u{feff}');
    }
    let plain = ["", "1", "-2.50", "NULL", "na", "2024-05-06", "x y", "ünï", "a\"b", "5\" disk", " \"x\"", "🦀", "0"];
    let quoted = ["", "\"\"", "a{d}b", "line\nbreak", "crlf\r\nin it", "\"\"\"\"", "say \"\"hi\"\"", "{d}{d}", "plain", "\u{feff}", "NULL"];
    let bad_row = if random.random_bool(0.25) { random.random_range(0..rows.max(1)) } else { usize::MAX };
    for row in 0..rows {
        for column in 0..columns {
            if column > 0 {
                text.push(delimiter);
            }
            if random.random_bool(0.3) {
                let value = quoted[random.random_range(0..quoted.len())].replace("{d}", &delimiter.to_string());
                text.push_str(&format!("\"{value}\""));
            } else if columns > 1 || random.random_bool(0.9) {
                text.push_str(&plain[random.random_range(0..plain.len())].replace(delimiter, "_"));
            }
        }
        if row == bad_row {
            match random.random_range(0..5) {
                0 => text.push(delimiter),
                1 => text.push_str(&format!("{delimiter}\"never closed")),
                2 => text.push_str("\n\"closed\" and more"),
                3 => text.push_str("\n\"\"x\"\""),
                _ => text.push_str("\nfew"),
            }
        }
        if row + 1 < rows || random.random_bool(0.7) {
            text.push_str(end);
        }
    }
    let mut bytes = text.into_bytes();
    if random.random_bool(0.1) && !bytes.is_empty() {
        let at = random.random_range(0..bytes.len());
        bytes[at] = [0xff, 0, b'"', b'\n', b'\r', b','][random.random_range(0..6)];
    }
    bytes
}

#[test]
fn stretches_hold_the_cells_that_arrow_reads() {
    let (mut regular, mut irregular) = (0, 0);
    for seed in 0..6_000 {
        let mut random = StdRng::seed_from_u64(seed);
        let delimiter = [',', ';', '\t', '|'][random.random_range(0..4)];
        let columns = random.random_range(1..5);
        let rows = random.random_range(0..30);
        let bytes = hostile(&mut random, delimiter, columns, rows);
        let nulls: &[&str] = [&[""][..], &[], &["NULL", "na"], &["", "NULL"]][random.random_range(0..4)];
        let reading = reading(delimiter as u8, random.random_bool(0.5), nulls);
        let (theirs, wrong) = by_arrow(&bytes, &reading, columns);
        let ours = in_stretches(Cursor::new(&bytes), &reading, columns, 0, u64::MAX);
        let dribbled = in_stretches(Dribble(&bytes, StdRng::seed_from_u64(seed)), &reading, columns, 0, u64::MAX);
        assert_eq!(ours.as_ref().map(|(rows, _)| rows), dribbled.as_ref().map(|(rows, _)| rows));
        match ours {
            Some((rows, _)) => {
                assert!(!wrong, "seed {seed}: {:?}", String::from_utf8_lossy(&bytes));
                assert_eq!(rows, theirs, "seed {seed}: {:?}", String::from_utf8_lossy(&bytes));
                regular += 1;
            }
            // Before a quote behind a byte order mark, and where pieces of characters stand in two cells, it is right to give up.
            None => {
                irregular += u32::from(wrong || bytes.starts_with("\u{feff}\"".as_bytes()) || String::from_utf8(bytes.clone()).is_err())
            }
        }
    }
    assert!(regular > 3_000 && irregular > 500, "{regular} regular, {irregular} not");
}

#[test]
fn a_file_cut_where_records_end_has_the_same_rows() {
    for seed in 0..3 {
        let mut random = StdRng::seed_from_u64(seed);
        let columns = random.random_range(1..4);
        let mut bytes = Vec::new();
        while bytes.len() < 1 << 20 {
            let more = hostile(&mut random, ',', columns, 500);
            let reading = reading(b',', false, &[""]);
            if in_stretches(Cursor::new(&more), &reading, columns, 1, u64::MAX).is_some()
                && more.ends_with(b"\n")
                && !more.starts_with(b"\xef")
            {
                bytes.extend(more);
            }
        }
        let reading = reading(b',', true, &[""]);
        let (whole, places) = in_stretches(Cursor::new(&bytes), &reading, columns, 0, u64::MAX).unwrap();
        assert!(places.len() > 3);
        let mut rows = Rows::new();
        let mut from = 0;
        for place in places {
            let part = Cursor::new(&bytes[from as usize..]);
            let (more, _) = in_stretches(part, &reading, columns, from, place - from).unwrap();
            rows.extend(more);
            from = place;
        }
        assert_eq!(rows, whole);
        assert_eq!(rows, by_arrow(&bytes, &reading, columns).0);
    }
}

#[test]
fn a_record_of_many_stretches_is_one_record() {
    let long = "line\n".repeat(200_000);
    let bytes = format!("a,b\n1,\"{long}\"\n2,x").into_bytes();
    let reading = reading(b',', true, &[""]);
    let (rows, _) = in_stretches(Cursor::new(&bytes), &reading, 2, 0, u64::MAX).unwrap();
    assert_eq!(rows, [[Some("1".to_string()), Some(long)], [Some("2".to_string()), Some("x".to_string())]]);
}
