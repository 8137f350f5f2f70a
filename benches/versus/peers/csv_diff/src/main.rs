//! Two CSV files compared by the `csv-diff` crate, by key columns: counts as one line of JSON.

use std::collections::HashSet;
use std::error::Error;
use std::fs::File;

use csv_diff::csv::Csv;

use csv_diff::diff_row::DiffByteRecord;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (original, backfill) = (arguments.next().ok_or("original?")?, arguments.next().ok_or("backfill?")?);
    let keys: HashSet<usize> = arguments.map(|place| place.parse()).collect::<Result<_, _>>()?;
    let diff = csv_diff::csv_diff::CsvByteDiffBuilder::new().primary_key_columns(keys).build()?;
    let (mut missing, mut unexpected, mut mismatched) = (0_u64, 0_u64, 0_u64);
    for record in diff.diff(Csv::with_reader(File::open(original)?), Csv::with_reader(File::open(backfill)?)) {
        match record? {
            DiffByteRecord::Delete(_) => missing += 1,
            DiffByteRecord::Add(_) => unexpected += 1,
            DiffByteRecord::Modify { .. } => mismatched += 1,
        }
    }
    println!("{{\"missing\": {missing}, \"unexpected\": {unexpected}, \"mismatched\": {mismatched}}}");
    Ok(())
}
