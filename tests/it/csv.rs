//! CSV, held against Python's `csv` module, and against itself with the rows in another order: what is rare or late in a file must not
//! change what its other cells are.

use std::fmt::Write;
use std::process::Command;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use crate::outside::{python, repository};
use crate::support::Case;

/// A cell as a file may write it.
fn cell(random: &mut StdRng, delimiter: char) -> String {
    let plain = ["1", "-2.50", "007", "NULL", "2024-05-06", "x y", "ünï", "a'b", "🦀", "1e3", "true", "0.10", ""];
    let quoted = ["line\nbreak", "crlf\r\nin it", "say \"\"hi\"\"", "a{d}b", "\"\"\"\"", "{d}", "plain", "\"\"", " spaced "];
    if random.random_bool(0.25) {
        let value = quoted[random.random_range(0..quoted.len())].replace("{d}", &delimiter.to_string());
        return format!("\"{value}\"");
    }
    plain[random.random_range(0..plain.len())].replace(delimiter, "_")
}

#[test]
fn every_cell_is_what_pythons_csv_module_reads() {
    for seed in 0..6 {
        let mut random = StdRng::seed_from_u64(seed);
        let delimiter = [',', ';', '\t'][random.random_range(0..3)];
        let end = ["\n", "\r\n"][random.random_range(0..2)];
        let columns = random.random_range(2..6);
        // Some files take one stretch, some take many.
        let rows = [1, 50, 30_000][random.random_range(0..3)];
        let mut text = if random.random_bool(0.3) { "\u{feff}".to_string() } else { String::new() };
        let names: Vec<String> = (0..columns).map(|at| format!("c{at}")).collect();
        text.push_str(&names.join(&delimiter.to_string()));
        text.push_str(end);
        for row in 0..rows {
            let cells: Vec<String> = (0..columns).map(|_| cell(&mut random, delimiter)).collect();
            text.push_str(&cells.join(&delimiter.to_string()));
            if row + 1 < rows || random.random_bool(0.5) {
                text.push_str(end);
            }
            if random.random_bool(0.001) {
                text.push_str(end);
            }
        }
        let case = Case::new();
        case.file("original.csv", &text);
        let script = repository().join("tests/python/csv_cells.py");
        let [from, to] = ["original.csv", "backfill.parquet"].map(|name| case.path(name));
        let made = Command::new(python()).arg(script).args([from, to]).arg(delimiter.to_string()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let delimiter = if delimiter == '\t' { "tab".to_string() } else { delimiter.to_string() };
        let option = format!("delimiter={delimiter}");
        let verified = case.verify(&["original.csv", "backfill.parquet", "--keyless", "--original-opt", &option]);
        verified.assert_pass();
        assert_eq!(verified.count("original_rows"), Some(rows), "seed {seed}");
    }
}

#[test]
fn what_stands_late_in_a_file_counts_as_much_as_what_stands_early() {
    // The type that a column of whole numbers gets by one other value, wherever it stands.
    let odd = [
        ("x", "text"),
        ("007", "text"),
        ("1.125", "decimal(38,3)"),
        ("1234567890123456789012", "decimal(38,0)"),
        ("-0", "decimal(38,0)"),
        ("+1", "text"),
        ("1.5e-3", "float64"),
        ("1e3", "text"),
        ("\"two\nlines\"", "text"),
        ("\"5\"", "int64"),
        ("", "int64"),
        ("2024-05-06", "text"),
        ("true", "text"),
    ];
    let rows = 60_000;
    for (value, word) in odd {
        let file = |at: usize| {
            let mut text = String::from("id,v\n");
            for row in 0..rows {
                let number = (row * 7 % 1_000).to_string();
                writeln!(text, "{row},{}", if row == at { value } else { &number }).unwrap();
            }
            text
        };
        // The same rows, with the odd one first, last, or in the middle.
        let text = file(rows - 1);
        let mut lines: Vec<String> =
            (0..rows).map(|row| if row == rows - 1 { format!("{row},{value}") } else { format!("{row},{}", row * 7 % 1_000) }).collect();
        lines.rotate_right(1);
        let early = format!("id,v\n{}\n", lines.join("\n"));
        lines.shuffle(&mut StdRng::seed_from_u64(1));
        let middle = format!("id,v\r\n{}", lines.join("\r\n"));
        let case = Case::new();
        case.file("late.csv", &text).file("early.csv", &early).file("middle.csv", &middle);
        for other in ["early.csv", "middle.csv"] {
            let verified = case.verify(&["late.csv", other, "--key", "id", "--no-infer"]);
            verified.assert_pass();
            for side in ["original", "backfill"] {
                let says = format!("the {side} is read as id: int64, v: {word} (");
                assert!(verified.stderr.contains(&says), "{value:?}: {}", verified.stderr);
            }
        }
        // A ragged row at the end is an input error, not a short file.
        case.file("ragged.csv", format!("{text}1\n"));
        case.run(&["verify", "late.csv", "ragged.csv", "--key", "id"]).assert_error(2);
    }
}
