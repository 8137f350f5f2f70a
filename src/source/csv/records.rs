//! From a stretch of a CSV to the cells of its records.
//!
//! What a record is, is what `csv-core` says, which reads whatever is not regular (see [`super::irregular`]): lines end with `\n`, `\r` or
//! both; lines without a byte are no records; a cell that begins with a quote ends with the next that is not doubled; a quote further on in
//! another cell is text. Regular is a file in which every record has one cell for each column, and nothing stands behind
//! a closing quote.

use super::marks;

/// A cell: where its text begins and ends, without quotes around it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    start: u32,
    /// With the highest bit set, the cell lies among those in which doubled quotes were replaced.
    end: u32,
}

const REPLACED: u32 = 1 << 31;

/// A stretch is shorter, so that places fit [`Cell`] and cells fit Arrow's offsets.
pub(super) const MOST_BYTES: usize = 1 << 30;

/// The file is not regular.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Irregular;

/// The records of a stretch.
#[derive(Debug, Default)]
pub(super) struct Records {
    marks: Vec<u32>,
    cells: Vec<Cell>,
    columns: usize,
    /// The texts of cells in which a doubled quote stood for one.
    replaced: Vec<u8>,
    /// The end of each record's line, from the start of the stretch.
    pub(super) ends: Vec<u32>,
}

impl Records {
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, ..Self::default() }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Finds the records of a stretch that begins with one, as far as they end in it, and says where the last one ends. The end of the
    /// `last` stretch ends its record too.
    pub(super) fn find(&mut self, text: &[u8], delimiter: u8, last: bool) -> Result<usize, Irregular> {
        let mut marks = std::mem::take(&mut self.marks);
        marks.clear();
        self.cells.clear();
        self.replaced.clear();
        self.ends.clear();
        if text.len() >= MOST_BYTES || matches!(delimiter, b'"' | b'\n' | b'\r') {
            return Err(Irregular);
        }
        marks::find(text, delimiter, &mut marks);
        let end = self.walk(text, delimiter, &marks, last);
        self.marks = marks;
        end
    }

    fn walk(&mut self, text: &[u8], delimiter: u8, marks: &[u32], last: bool) -> Result<usize, Irregular> {
        // Where the record before ended, and where the cell begins.
        let (mut whole, mut start) = (0, 0);
        let mut first = 0;
        let mut at = 0;
        while let Some(&mark) = marks.get(at) {
            at += 1;
            let byte = text[mark as usize];
            if byte == delimiter {
                self.cells.push(Cell { start, end: mark });
                start = mark + 1;
                continue;
            }
            if byte == b'"' {
                if mark != start {
                    // It stands inside of a cell that does not begin with one.
                    continue;
                }
                let Some(closing) = self.quoted(text, delimiter, marks, &mut at, last)? else {
                    // The rest of it is yet to come.
                    break;
                };
                match marks.get(at) {
                    Some(&mark) if text[mark as usize] == delimiter => {
                        start = mark + 1;
                        at += 1;
                        continue;
                    }
                    Some(&mark) => {
                        start = mark + 1;
                        at += 1;
                    }
                    None => start = closing + 1,
                }
            } else if start == mark && self.cells.len() == first {
                // A line without a byte.
                start = mark + 1;
                whole = start;
                continue;
            } else {
                self.cells.push(Cell { start, end: mark });
                start = mark + 1;
            }
            if self.cells.len() - first != self.columns {
                return Err(Irregular);
            }
            first = self.cells.len();
            whole = start;
            self.ends.push(whole);
        }
        let end = text.len() as u32;
        if last && (start < end || self.cells.len() > first) {
            self.cells.push(Cell { start, end });
            if self.cells.len() - first != self.columns {
                return Err(Irregular);
            }
            self.ends.push(end);
            return Ok(text.len());
        }
        if self.cells.len() - first > self.columns {
            return Err(Irregular);
        }
        self.cells.truncate(first);
        Ok(whole as usize)
    }

    /// Takes a cell whose opening quote is the mark before `at`, and says where its closing quote stands; `None` where that is not
    /// to be seen yet.
    fn quoted(&mut self, text: &[u8], delimiter: u8, marks: &[u32], at: &mut usize, last: bool) -> Result<Option<u32>, Irregular> {
        let start = marks[*at - 1] + 1;
        let mut doubled = false;
        while let Some(&mark) = marks.get(*at) {
            *at += 1;
            if text[mark as usize] != b'"' {
                continue;
            }
            match text.get(mark as usize + 1) {
                Some(b'"') => {
                    doubled = true;
                    *at += 1;
                }
                Some(&byte) if byte != delimiter && byte != b'\n' && byte != b'\r' => return Err(Irregular),
                None if !last => return Ok(None),
                _ => {
                    let cell = if doubled { self.replace(&text[start as usize..mark as usize]) } else { Cell { start, end: mark } };
                    self.cells.push(cell);
                    return Ok(Some(mark));
                }
            }
        }
        if last { Err(Irregular) } else { Ok(None) }
    }

    fn replace(&mut self, quoted: &[u8]) -> Cell {
        let start = self.replaced.len() as u32;
        let mut bytes = quoted.iter();
        while let Some(&byte) = bytes.next() {
            self.replaced.push(byte);
            if byte == b'"' {
                bytes.next();
            }
        }
        Cell { start, end: self.replaced.len() as u32 | REPLACED }
    }

    /// The records with the text that they were found in; `None` where it is not UTF-8.
    pub(super) fn of<'a>(&'a self, text: &'a [u8]) -> Option<Stretch<'a>> {
        Some(Stretch { text: std::str::from_utf8(text).ok()?, replaced: std::str::from_utf8(&self.replaced).ok()?, records: self })
    }
}

/// Records with their text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch<'a> {
    text: &'a str,
    replaced: &'a str,
    records: &'a Records,
}

impl<'a> Stretch<'a> {
    /// The text of a cell.
    #[inline]
    pub(super) fn cell(&self, row: usize, column: usize) -> &'a str {
        let Some(cell) = self.records.cells.get(row * self.records.columns + column) else { return "" };
        let text = if cell.end & REPLACED == 0 { self.text } else { self.replaced };
        text.get(cell.start as usize..(cell.end & !REPLACED) as usize).unwrap_or_default()
    }
}
