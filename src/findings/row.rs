//! The cells of one row of a report table, by name, and the findings that the rows of theirs hold.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;

use crate::domain::{Finding, Grain, Instant, Severity};

/// One row of a table; a column that is not there is NULL.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Row<'a> {
    pub batch: &'a RecordBatch,
    pub row: usize,
}

impl<'a> Row<'a> {
    /// The rows of a batch.
    pub fn all(batch: &'a RecordBatch) -> impl Iterator<Item = Self> {
        (0..batch.num_rows()).map(move |row| Self { batch, row })
    }

    fn column(&self, name: &str) -> Option<&'a Arc<dyn Array>> {
        self.batch.column_by_name(name).filter(|column| column.is_valid(self.row))
    }

    /// Text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.column(name)?.as_string_opt::<i32>().map(|column| column.value(self.row))
    }

    /// An instant.
    pub fn time(&self, name: &str) -> Option<Instant> {
        self.column(name)?.as_primitive_opt::<TimestampMicrosecondType>().map(|column| Instant::from_micros(column.value(self.row)))
    }

    /// A sequence number.
    pub fn sequence(&self, name: &str) -> Option<i128> {
        self.column(name)?.as_primitive_opt::<Decimal128Type>().map(|column| column.value(self.row))
    }

    /// A count.
    pub fn count(&self, name: &str) -> Option<i64> {
        self.column(name)?.as_primitive_opt::<Int64Type>().map(|column| column.value(self.row))
    }

    /// A double.
    pub fn double(&self, name: &str) -> Option<f64> {
        self.column(name)?.as_primitive_opt::<Float64Type>().map(|column| column.value(self.row))
    }

    /// A boolean; NULL is false.
    pub fn claim(&self, name: &str) -> bool {
        self.column(name).and_then(|column| column.as_boolean_opt()).is_some_and(|column| column.value(self.row))
    }
}

/// The columns of a batch of the table of findings, found once for all of its rows; one that is not there is NULL.
#[derive(Debug)]
pub struct FindingRows<'a> {
    texts: [Option<&'a StringArray>; 13],
    times: [Option<&'a TimestampMicrosecondArray>; 4],
    sequences: [Option<&'a Decimal128Array>; 2],
    rows: Option<&'a Int64Array>,
    claims: [Option<&'a BooleanArray>; 2],
    many: usize,
}

impl<'a> FindingRows<'a> {
    /// Of a batch.
    pub fn new(batch: &'a RecordBatch) -> Self {
        let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
        let time = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>();
        let sequence = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Decimal128Type>();
        let claim = |name: &str| batch.column_by_name(name)?.as_boolean_opt();
        Self {
            texts: [
                text("stream"),
                text("check"),
                text("kind"),
                text("severity"),
                text("grain"),
                text("side"),
                text("series"),
                text("file"),
                text("key"),
                text("column_name"),
                text("original_value"),
                text("backfill_value"),
                text("message"),
            ],
            times: [time("window_start"), time("window_end"), time("from_time"), time("until_time")],
            sequences: [sequence("from_sequence"), sequence("until_sequence")],
            rows: batch.column_by_name("rows").and_then(|column| column.as_primitive_opt::<Int64Type>()),
            claims: [claim("accepted"), claim("known")],
            many: batch.num_rows(),
        }
    }

    /// Its findings, one after another.
    pub fn findings(&self) -> impl Iterator<Item = Finding> + '_ {
        (0..self.many).map(|row| self.finding(row))
    }

    fn finding(&self, row: usize) -> Finding {
        fn valid<A: Array>(column: Option<&A>, row: usize) -> Option<&A> {
            column.filter(|column| column.is_valid(row))
        }
        let word = |place: usize| valid(self.texts[place], row).map(|column| column.value(row));
        let text = |place: usize| word(place).map(str::to_string);
        let time = |place: usize| valid(self.times[place], row).map(|column| Instant::from_micros(column.value(row)));
        let sequence = |place: usize| valid(self.sequences[place], row).map(|column| column.value(row));
        let claim = |place: usize| valid(self.claims[place], row).is_some_and(|column| column.value(row));
        Finding {
            stream: text(0).unwrap_or_default(),
            check: text(1).unwrap_or_default(),
            kind: text(2),
            // What is not known weighs most.
            severity: word(3).and_then(Severity::parse).unwrap_or(Severity::Error),
            grain: word(4).and_then(Grain::parse).unwrap_or(Grain::Stream),
            side: text(5),
            series: text(6),
            window_start: time(0),
            window_end: time(1),
            from_time: time(2),
            until_time: time(3),
            from_sequence: sequence(0),
            until_sequence: sequence(1),
            file: text(7),
            key: text(8),
            column_name: text(9),
            original_value: text(10),
            backfill_value: text(11),
            rows: valid(self.rows, row).map(|column| column.value(row)),
            accepted: claim(0),
            known: claim(1),
            message: text(12).unwrap_or_default(),
        }
    }
}
