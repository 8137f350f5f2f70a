//! Files that are not regular, read by Arrow's reader, which says what is wrong with them.

use std::io::{BufReader, Error as IoError, ErrorKind, Read, Result as IoResult};

use arrow::csv::ReaderBuilder;
use arrow::csv::reader::BufReader as Batches;
use arrow::datatypes::SchemaRef;
use datafusion::error::Result;
use regex::Regex;

use super::CsvReading;

/// The rows of a file in batches of text columns.
pub(super) fn batches<R: Read>(reading: &CsvReading, reader: R, columns: SchemaRef, rows: usize) -> Result<Batches<BufReader<Quotes<R>>>> {
    let alternatives: Vec<String> = reading.null_values.iter().map(|value| regex::escape(value)).collect();
    let nulls = Regex::new(&format!("^(?:{})$", alternatives.join("|")))
        .map_err(|e| datafusion::error::DataFusionError::Execution(e.to_string()))?;
    Ok(ReaderBuilder::new(columns)
        .with_header(reading.header)
        .with_delimiter(reading.delimiter)
        .with_null_regex(nulls)
        .with_batch_size(rows)
        .build_buffered(BufReader::with_capacity(1 << 16, Quotes::new(reader, reading.delimiter)))?)
}

/// Watches the quotes go by. The parser takes a quote that is never closed, or text behind one that is, as it comes,
/// and an upload that broke off inside a quoted value would look whole.
pub(super) struct Quotes<R> {
    inner: R,
    delimiter: u8,
    place: Place,
    line: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    FieldStart,
    Plain,
    Quoted {
        since: u64,
    },
    /// Behind a quote inside a quoted value: the end of it, or the first half of a doubled one.
    Behind {
        since: u64,
    },
}

impl<R: Read> Quotes<R> {
    fn new(inner: R, delimiter: u8) -> Self {
        Self { inner, delimiter, place: Place::FieldStart, line: 1 }
    }

    fn step(&mut self, byte: u8) -> IoResult<()> {
        let ends = byte == self.delimiter || byte == b'\n' || byte == b'\r';
        self.place = match (self.place, byte) {
            (Place::FieldStart, b'"') => Place::Quoted { since: self.line },
            (Place::Quoted { since }, b'"') => Place::Behind { since },
            (Place::Behind { since }, b'"') => Place::Quoted { since },
            (Place::Quoted { since }, _) => Place::Quoted { since },
            (Place::FieldStart | Place::Plain | Place::Behind { .. }, _) if ends => Place::FieldStart,
            (Place::Behind { since }, _) => {
                let text = format!("line {since}: text stands behind the closing quote of a value");
                return Err(IoError::new(ErrorKind::InvalidData, text));
            }
            (Place::FieldStart | Place::Plain, _) => Place::Plain,
        };
        self.line += u64::from(byte == b'\n');
        Ok(())
    }
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, into: &mut [u8]) -> IoResult<usize> {
        let count = self.inner.read(into)?;
        for &byte in into.get(..count).unwrap_or_default() {
            self.step(byte)?;
        }
        if let (0, false, Place::Quoted { since }) = (count, into.is_empty(), self.place) {
            let text = format!("line {since}: a quote is opened and never closed");
            return Err(IoError::new(ErrorKind::InvalidData, text));
        }
        Ok(count)
    }
}
