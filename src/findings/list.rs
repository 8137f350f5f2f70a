//! The findings of a stream: a list that is as long as it likes, with an overview that is not.
//!
//! ```text
//! finding ──► overview (counts, the first of each sort, where series differ)
//!    └──────► counts   (the table `finding_counts`)
//!    └──────► batches  (the table `findings`), in memory or spilled
//! ```

use std::fs::File;
use std::path::PathBuf;

use arrow::error::ArrowError;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::counts::Counter;
use super::overview::Overview;
use super::row::FindingRows;
use super::spool::{BatchIter, Batches, Spool};
use super::table::findings_batch;
use crate::domain::{Bounds, Finding};
use crate::error::{Error, Result};

/// Findings that make a batch.
const ROWS: usize = 4_096;

fn engine(error: ArrowError) -> Error {
    Error::engine("keeping the findings")(error.into())
}

/// Takes the findings of a stream in canonical order.
#[expect(missing_debug_implementations, reason = "it holds a file under way")]
pub struct FindingWriter {
    stream: String,
    room: u64,
    bounds: Bounds,
    tail: Vec<Finding>,
    list: Spool,
    counter: Counter,
    counts: Spool,
    overview: Overview,
}

impl FindingWriter {
    /// For a stream with these bounds; so many bytes of findings are held in memory, what is more is spilled.
    pub fn new(stream: &str, bounds: Bounds, room: u64) -> Self {
        Self {
            stream: stream.to_string(),
            room,
            bounds,
            tail: Vec::new(),
            list: Spool::new(room - room / 4),
            counter: Counter::default(),
            counts: Spool::new(room / 4),
            overview: Overview::new(bounds),
        }
    }

    /// Takes the next.
    ///
    /// # Errors
    /// It had to go to disk, and could not.
    pub fn push(&mut self, finding: Finding) -> Result<()> {
        let tally = self.overview.add(&finding);
        self.counter.add(&finding, tally);
        self.tail.push(finding);
        if self.tail.len() >= ROWS {
            self.flush()?;
        }
        if self.counter.is_full() {
            self.counts.push(self.counter.take(&self.stream, &self.overview.tallies).map_err(engine)?)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.list.push(findings_batch(self.tail.iter()).map_err(engine)?)?;
        self.tail.clear();
        Ok(())
    }

    /// The list.
    ///
    /// # Errors
    /// The end had to go to disk, and could not.
    pub fn finish(mut self) -> Result<FindingList> {
        self.flush()?;
        self.counts.push(self.counter.take(&self.stream, &self.overview.tallies).map_err(engine)?)?;
        Ok(FindingList {
            stream: self.stream,
            room: self.room,
            bounds: self.bounds,
            source: Source::Kept(self.list.finish()?),
            counts: self.counts.finish()?,
            overview: self.overview,
        })
    }
}

#[derive(Debug, Clone)]
enum Source {
    Kept(Batches),
    /// Rows of a table of a stored run.
    Stored {
        path: PathBuf,
        first: usize,
        rows: usize,
    },
}

/// The findings of a stream in canonical order, up to the limit a check.
#[derive(Debug, Clone)]
pub struct FindingList {
    stream: String,
    room: u64,
    bounds: Bounds,
    source: Source,
    counts: Batches,
    /// What there is of them.
    pub overview: Overview,
}

impl FindingList {
    /// None.
    pub fn none(stream: &str) -> Self {
        let (bounds, overview) = (Bounds::default(), Overview::default());
        let source = Source::Kept(Batches::default());
        Self { stream: stream.to_string(), room: 0, bounds, source, counts: Batches::default(), overview }
    }

    /// Those that a stored run lists in some rows of its table, with what is known of them.
    pub fn stored(stream: &str, path: PathBuf, first: usize, overview: Overview) -> Self {
        let rows = usize::try_from(overview.count(|_| true)).unwrap_or(usize::MAX);
        let source = Source::Stored { path, first, rows };
        Self { stream: stream.to_string(), room: 0, bounds: Bounds::default(), source, counts: Batches::default(), overview }
    }

    /// Their table, batch by batch.
    ///
    /// # Errors
    /// What was spilled or stored cannot be read back.
    pub fn batches(&self) -> Result<BatchIter<'_>> {
        self.read(None)
    }

    /// Some columns of it.
    ///
    /// # Errors
    /// What was spilled or stored cannot be read back.
    pub fn columns(&self, names: &[&str]) -> Result<BatchIter<'_>> {
        self.read(Some(names))
    }

    fn read(&self, columns: Option<&[&str]>) -> Result<BatchIter<'_>> {
        let (path, first, rows) = match &self.source {
            Source::Kept(batches) => return batches.iter(columns),
            Source::Stored { path, first, rows } => (path, *first, *rows),
        };
        let wrong = |problem: String| Error::Report {
            path: path.display().to_string(),
            problem: format!("cannot be read: {problem}"),
            help: "the run cannot be read back: remove its directory, or take it from a copy of the report".to_string(),
        };
        let file = File::open(path).map_err(|e| wrong(e.to_string()))?;
        let mut builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| wrong(e.to_string()))?;
        if let Some(names) = columns {
            let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
            builder = builder.with_projection(mask);
        }
        let reader = builder.with_batch_size(ROWS).with_offset(first).with_limit(rows).build().map_err(|e| wrong(e.to_string()))?;
        Ok(Box::new(reader.map(move |batch| batch.map_err(|e| wrong(e.to_string())))))
    }

    /// The table of their counts, batch by batch.
    ///
    /// # Errors
    /// What was spilled cannot be read back.
    pub fn counts(&self) -> Result<BatchIter<'_>> {
        self.counts.iter(None)
    }

    /// Hands out one after another.
    ///
    /// # Errors
    /// They cannot be read back, or the taker fails.
    pub fn each(&self, mut take: impl FnMut(Finding) -> Result<()>) -> Result<()> {
        for batch in self.batches()? {
            let batch = batch?;
            FindingRows::new(&batch).findings().try_for_each(&mut take)?;
        }
        Ok(())
    }

    /// The same list with each finding changed.
    ///
    /// # Errors
    /// They cannot be read back, or not be kept anew.
    pub fn changed(&self, mut change: impl FnMut(&mut Finding)) -> Result<Self> {
        let mut writer = FindingWriter::new(&self.stream, self.bounds, self.room);
        self.each(|mut finding| {
            change(&mut finding);
            writer.push(finding)
        })?;
        writer.finish()
    }

    #[cfg(test)]
    fn is_spilled(&self) -> bool {
        matches!(&self.source, Source::Kept(batches) if batches.is_spilled())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Grain, Instant, Severity};

    fn finding(number: i64) -> Finding {
        let at = Instant::from_micros(number * 1_000_000);
        Finding {
            stream: "s".to_string(),
            check: if number % 3 == 0 { "missing_key" } else { "value_mismatch" }.to_string(),
            kind: None,
            severity: if number % 5 == 0 { Severity::Warn } else { Severity::Error },
            grain: Grain::Key,
            side: (number % 3 == 0).then(|| "backfill".to_string()),
            series: Some(format!("{{\"a\":{}}}", number % 7)),
            window_start: Some(Instant::from_micros(number / 60 * 60_000_000)),
            window_end: Some(Instant::from_micros((number / 60 + 1) * 60_000_000)),
            from_time: Some(at),
            until_time: None,
            from_sequence: (number % 2 == 0).then_some(i128::from(number) << 70),
            until_sequence: None,
            file: None,
            key: Some(format!("{{\"id\":{number}}}")),
            column_name: (number % 3 != 0).then(|| format!("c{}", number % 2)),
            original_value: Some("x".to_string()),
            backfill_value: (number % 4 != 0).then(String::new),
            rows: Some(1),
            accepted: number % 11 == 0,
            known: false,
            message: format!("finding {number}"),
        }
    }

    fn list(room: u64, most: i64) -> FindingList {
        let bounds = Bounds { from: Some(Instant(0)), until: Some(Instant::from_micros(most * 1_000_000)) };
        let mut writer = FindingWriter::new("s", bounds, room);
        (0..most).for_each(|number| writer.push(finding(number)).unwrap());
        writer.finish().unwrap()
    }

    /// Whether it was spilled, nobody can tell.
    #[test]
    fn spilled_or_held_it_is_the_same() {
        const MOST: i64 = 30_000;
        let (held, spilled) = (list(u64::MAX, MOST), list(1, MOST));
        assert!(!held.is_spilled() && spilled.is_spilled());
        for of in [&held, &spilled] {
            let mut expected = 0;
            of.each(|found| {
                assert_eq!(found, finding(expected));
                expected += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(expected, MOST);
            assert_eq!(of.overview.count(|_| true), MOST as u64);
            assert!(of.overview.first.len() < 3_000, "{}", of.overview.first.len());
        }
        assert_eq!(held.overview.first, spilled.overview.first);
        let counts = |of: &FindingList| of.counts().unwrap().map(|batch| format!("{:?}", batch.unwrap())).collect::<Vec<_>>();
        assert_eq!(counts(&held), counts(&spilled));
    }

    /// The first so many of any sort are those of all findings.
    #[test]
    fn the_first_of_each_sort_are_kept() {
        let list = list(u64::MAX, 20_000);
        let sorts: [fn(&Finding) -> bool; 4] = [
            |f| f.severity == Severity::Error && !f.accepted,
            |f| f.check == "value_mismatch",
            |f| f.check == "missing_key" && f.accepted,
            |f| f.check == "value_mismatch" && f.severity == Severity::Warn,
        ];
        for sort in sorts {
            let all: Vec<Finding> = (0..20_000).map(finding).filter(sort).take(100).collect();
            let kept: Vec<Finding> = list.overview.first.iter().filter(|f| sort(f)).take(100).cloned().collect();
            assert_eq!(all, kept);
        }
    }

    #[test]
    fn a_changed_list_counts_anew() {
        let list = list(1, 10_000);
        let known = list.changed(|finding| finding.known = finding.check == "missing_key").unwrap();
        assert_eq!(known.overview.count(|tally| tally.known), 3_334);
        assert_eq!(list.overview.count(|tally| tally.known), 0);
    }
}
