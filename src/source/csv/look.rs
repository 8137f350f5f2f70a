//! One look at every value of a file, when a side is opened: what each column could be, how many rows there are, and where the
//! file can be cut.

use std::io::Read;

use datafusion::error::Result;

use super::stretches::{Stretches, Trouble};
use super::{CsvReading, Nulls};
use crate::source::guess::Traits;
use crate::source::listing::Compression;
use crate::source::opening::{Bytes, unpacked};

/// Bytes from one place where a file can be cut to the next.
const APART: u64 = 4 << 20;

/// What was seen.
#[derive(Debug)]
pub(in crate::source) struct Looked {
    pub(in crate::source) rows: u64,
    /// One for each wanted column.
    pub(in crate::source) traits: Vec<Traits>,
    /// Places where records begin, known because everything before them was read; none in a file that must be unpacked.
    pub(in crate::source) cuts: Vec<u64>,
}

/// Looks at the wanted columns of a file with so many. `None` for a file that is not regular.
pub(in crate::source) fn look(reading: &CsvReading, reader: Box<dyn Bytes>, columns: usize, wanted: &[usize]) -> Result<Option<Looked>> {
    let packed = !matches!(reading.compression, Compression::None);
    look_at(reading, unpacked(reader, reading.compression)?, columns, wanted, packed)
}

fn look_at<R: Read>(reading: &CsvReading, reader: R, columns: usize, wanted: &[usize], packed: bool) -> Result<Option<Looked>> {
    let nulls = Nulls::new(&reading.null_values);
    let mut stretches = Stretches::new(reader, columns, reading.delimiter, reading.header, 0, u64::MAX);
    let mut looked = Looked { rows: 0, traits: vec![Traits::default(); wanted.len()], cuts: Vec::new() };
    loop {
        let part = match stretches.next() {
            Ok(Some(part)) => part,
            Ok(None) => return Ok(Some(looked)),
            Err(Trouble::Irregular(_)) => return Ok(None),
            Err(Trouble::Failed(error)) => return Err(error),
        };
        looked.rows += part.rows.len() as u64;
        for (traits, &column) in looked.traits.iter_mut().zip(wanted) {
            traits.look(part.rows.clone().map(|row| nulls.value(part.stretch.cell(row, column))));
        }
        if !packed && part.place >= looked.cuts.last().unwrap_or(&0) + APART {
            looked.cuts.push(part.place);
        }
    }
}
