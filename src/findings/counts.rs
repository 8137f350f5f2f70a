//! The public table `finding_counts`: findings that say the same of the same stretch, summed up. It follows windows, series and columns
//! where the table `findings` follows rows, so that questions about many findings are answered from few lines.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::columns::{batch, count, end, flag, integer, sequence, start, text};
use super::overview::{Tally, nulls_last};
use crate::domain::{Finding, Grain, Instant};

/// Sums that are held at once. A stretch that comes again later has another line: readers add them up.
const MOST: usize = 1 << 17;

/// The names and types of its columns.
///
/// # Errors
/// Arrow could not build it.
pub fn finding_counts_schema() -> Result<SchemaRef, ArrowError> {
    Ok(Counter::default().take("", &[])?.schema())
}

/// Where findings lie: the window, or where there is none, or the finding is about a range itself, the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stretch {
    tally: usize,
    series: usize,
    window: (Option<Instant>, Option<Instant>),
    time: (Option<Instant>, Option<Instant>),
    numbers: (Option<i128>, Option<i128>),
}

/// What a line says of one of its findings: of the first by key and values.
#[derive(Debug, Default)]
struct Example {
    key: Option<String>,
    original: Option<String>,
    backfill: Option<String>,
    message: String,
}

impl Example {
    fn of(finding: &Finding) -> Self {
        Self {
            key: finding.key.clone(),
            original: finding.original_value.clone(),
            backfill: finding.backfill_value.clone(),
            message: finding.message.clone(),
        }
    }

    fn is_after(&self, finding: &Finding) -> bool {
        nulls_last(self.key.as_deref(), finding.key.as_deref())
            .then_with(|| nulls_last(self.original.as_deref(), finding.original_value.as_deref()))
            .then_with(|| nulls_last(self.backfill.as_deref(), finding.backfill_value.as_deref()))
            .then_with(|| self.message.cmp(&finding.message))
            .is_gt()
    }
}

struct Sum {
    findings: u64,
    rows: Option<i64>,
    keys: u64,
    example: Example,
}

/// Sums under way.
#[derive(Default)]
pub(super) struct Counter {
    sums: HashMap<Stretch, usize>,
    lines: Vec<(Stretch, Sum)>,
    series: HashMap<String, usize>,
    labels: Vec<Option<String>>,
    /// The key of the last finding of each tally: the findings of a key follow each other.
    last: Vec<Option<String>>,
}

impl Counter {
    /// Takes a finding, with the number of its tally.
    pub(super) fn add(&mut self, finding: &Finding, tally: usize) {
        let series = self.series_of(finding.series.as_deref());
        let windowed = finding.window_start.is_some() && matches!(finding.grain, Grain::Key | Grain::Row | Grain::Cell);
        let stretch = Stretch {
            tally,
            series,
            window: (finding.window_start, finding.window_end),
            time: if windowed { (None, None) } else { (finding.from_time, finding.until_time) },
            numbers: if windowed { (None, None) } else { (finding.from_sequence, finding.until_sequence) },
        };
        if self.last.len() <= tally {
            self.last.resize(tally + 1, None);
        }
        let another = finding.key.is_some() && self.last[tally] != finding.key;
        if another {
            self.last[tally].clone_from(&finding.key);
        }
        let lines = &mut self.lines;
        let place = *self.sums.entry(stretch).or_insert_with(|| {
            lines.push((stretch, Sum { findings: 0, rows: None, keys: 0, example: Example::of(finding) }));
            lines.len() - 1
        });
        let sum = &mut self.lines[place].1;
        sum.findings += 1;
        sum.keys += u64::from(another);
        if let Some(rows) = finding.rows {
            sum.rows = Some(sum.rows.unwrap_or(0).saturating_add(rows));
        }
        if sum.example.is_after(finding) {
            sum.example = Example::of(finding);
        }
    }

    fn series_of(&mut self, series: Option<&str>) -> usize {
        // NULL is a series of its own, under a name that no JSON has.
        let name = series.unwrap_or("\0");
        if let Some(place) = self.series.get(name) {
            return *place;
        }
        self.labels.push(series.map(str::to_string));
        self.series.insert(name.to_string(), self.labels.len() - 1);
        self.labels.len() - 1
    }

    pub(super) fn is_full(&self) -> bool {
        self.lines.len() >= MOST
    }

    /// The lines so far, in the order in which they began, and a new beginning.
    ///
    /// # Errors
    /// Arrow could not build the batch.
    pub(super) fn take(&mut self, stream: &str, tallies: &[Tally]) -> Result<RecordBatch, ArrowError> {
        let lines = std::mem::take(&mut self.lines);
        self.sums.clear();
        let batch = {
            let of = || lines.iter().filter_map(|(stretch, sum)| Some((stretch, tallies.get(stretch.tally)?, sum)));
            batch(vec![
                ("stream", text(of().map(|_| Some(stream)))),
                ("check", text(of().map(|(_, tally, _)| Some(&tally.check)))),
                ("kind", text(of().map(|(_, tally, _)| tally.kind.as_ref()))),
                ("severity", text(of().map(|(_, tally, _)| Some(tally.severity.as_str())))),
                ("side", text(of().map(|(_, tally, _)| tally.side.as_ref()))),
                ("series", text(of().map(|(stretch, ..)| self.labels.get(stretch.series).and_then(Option::as_ref)))),
                ("window_start", start(of().map(|(stretch, ..)| stretch.window.0))),
                ("window_end", end(of().map(|(stretch, ..)| stretch.window.1))),
                ("from_time", start(of().map(|(stretch, ..)| stretch.time.0))),
                ("until_time", end(of().map(|(stretch, ..)| stretch.time.1))),
                ("from_sequence", sequence(of().map(|(stretch, ..)| stretch.numbers.0))),
                ("until_sequence", sequence(of().map(|(stretch, ..)| stretch.numbers.1))),
                ("column_name", text(of().map(|(_, tally, _)| tally.column_name.as_ref()))),
                ("accepted", flag(of().map(|(_, tally, _)| tally.accepted))),
                ("known", flag(of().map(|(_, tally, _)| tally.known))),
                ("findings", count(of().map(|(.., sum)| Some(sum.findings)))),
                ("keys", count(of().map(|(.., sum)| Some(sum.keys)))),
                ("rows", integer(of().map(|(.., sum)| sum.rows))),
                ("example_key", text(of().map(|(.., sum)| sum.example.key.as_ref()))),
                ("example_original", text(of().map(|(.., sum)| sum.example.original.as_ref()))),
                ("example_backfill", text(of().map(|(.., sum)| sum.example.backfill.as_ref()))),
                ("example_message", text(of().map(|(.., sum)| Some(&sum.example.message)))),
            ])
        };
        if self.labels.len() >= MOST {
            self.labels.clear();
            self.series.clear();
        }
        batch
    }
}
