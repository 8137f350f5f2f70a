//! A CSV file, or a part of one, read a stretch of whole records at a time.

use std::io::Read;

use arrow::error::ArrowError;
use datafusion::error::{DataFusionError, Result};

use super::records::{Irregular, MOST_BYTES, Records, Stretch};

/// Bytes that are taken at a time: with what is made from them they fit the cache of a core.
const STRETCH: usize = 1 << 18;
/// A record that is longer is left to the other reader.
const MOST_RECORD: usize = 1 << 28;

/// Why a stretch could not be had.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file is not regular: how many records were given before that was seen.
    Irregular(u64),
    /// It could not be read.
    Failed(DataFusionError),
}

/// Reads stretches.
pub(super) struct Stretches<R> {
    reader: R,
    delimiter: u8,
    /// The first record is no row.
    header: bool,
    /// Bytes of the reader that are left to take.
    left: u64,
    text: Vec<u8>,
    /// Where in the text the next stretch begins.
    next: usize,
    /// Where that is in the file.
    place: u64,
    begun: bool,
    ended: bool,
    records: Records,
    given: u64,
}

/// Some records.
pub(super) struct Part<'a> {
    pub(super) stretch: Stretch<'a>,
    /// Which of them are rows.
    pub(super) rows: std::ops::Range<usize>,
    /// Where in the file the records end.
    pub(super) place: u64,
    /// How many bytes they take.
    pub(super) bytes: usize,
}

impl<R: Read> Stretches<R> {
    /// Of a reader that stands at a place of the file where a record begins, with so many bytes to read.
    pub(super) fn new(reader: R, columns: usize, delimiter: u8, header: bool, place: u64, left: u64) -> Self {
        Self {
            reader,
            delimiter,
            header: header && place == 0,
            left,
            text: Vec::new(),
            next: 0,
            place,
            begun: place > 0,
            ended: false,
            records: Records::new(columns),
            given: 0,
        }
    }

    /// The next stretch that holds records.
    pub(super) fn next(&mut self) -> Result<Option<Part<'_>>, Trouble> {
        let mut want = STRETCH;
        let end = loop {
            if self.ended && self.next == self.text.len() {
                return Ok(None);
            }
            if !self.ended {
                self.fill(want).map_err(|e| Trouble::Failed(ArrowError::from(e).into()))?;
            }
            if !std::mem::replace(&mut self.begun, true) && self.text.starts_with(b"\xef\xbb\xbf") {
                // Not a part of the first name. The other reader takes a quote behind it for something else than `csv-core` does.
                if self.text.get(3) == Some(&b'"') {
                    return Err(Trouble::Irregular(0));
                }
                self.next = 3;
                self.place += 3;
            }
            let text = &self.text[self.next..];
            let end = self.records.find(text, self.delimiter, self.ended).map_err(|Irregular| Trouble::Irregular(self.given))?;
            if self.records.len() > 0 {
                break end;
            }
            // Nothing but lines without a byte, or a record that goes on.
            self.advance(end);
            want = (self.text.len() * 2).max(STRETCH);
            if want > MOST_RECORD {
                return Err(Trouble::Irregular(self.given));
            }
        };
        let from = self.next;
        self.advance(end);
        let skipped = usize::from(std::mem::take(&mut self.header));
        let stretch = self.records.of(&self.text[from..self.next]).ok_or(Trouble::Irregular(self.given))?;
        self.given += (self.records.len() - skipped) as u64;
        Ok(Some(Part { stretch, rows: skipped..self.records.len(), place: self.place, bytes: end }))
    }

    fn advance(&mut self, by: usize) {
        self.next += by;
        self.place += by as u64;
    }

    /// Drops what is done, and reads until there is so much text, or no more.
    fn fill(&mut self, want: usize) -> std::io::Result<()> {
        self.text.drain(..self.next);
        self.next = 0;
        let mut filled = self.text.len();
        if filled >= want {
            return Ok(());
        }
        self.text.resize(want.min(MOST_BYTES - 1), 0);
        while filled < self.text.len() {
            let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.text.len() - filled);
            let read = match self.reader.read(&mut self.text[filled..filled + most]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            };
            if read == 0 {
                self.ended = true;
                break;
            }
            filled += read;
            self.left -= read as u64;
        }
        self.text.truncate(filled);
        Ok(())
    }
}
