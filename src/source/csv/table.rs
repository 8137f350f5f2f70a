//! The rows of CSV files as a scan gives them: the wanted columns, in the types that they are to have, of the rows that a filter leaves.

use std::collections::HashMap;
use std::io::{Read, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column as Named, DFSchema, ScalarValue};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::conjunction;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use tokio::sync::mpsc::Sender;

use super::columns::Column;
use super::records::Stretch;
use super::stretches::{Stretches, Trouble};
use super::{CsvReading, Nulls, irregular};
use crate::source::functions::ParseText;
#[cfg(test)]
use crate::source::listing::Compression;
use crate::source::opening::{Bytes, open, unpacked};

/// Bytes of records after which a batch is given, however few its rows are.
const MOST_BATCH: usize = 64 << 20;

/// How the files of a table are read.
#[derive(Debug, Clone)]
pub(in crate::source) struct CsvTable {
    pub(in crate::source) reading: CsvReading,
    pub(in crate::source) store: Arc<dyn ObjectStore>,
    /// How the texts of a column are read, by its name; those of other columns stay as they are.
    pub(in crate::source) parse: Arc<HashMap<String, ParseText>>,
    /// Where a file can be cut, in order.
    pub(in crate::source) cuts: Arc<HashMap<Path, Vec<u64>>>,
}

/// A file, or what lies between two places of it.
#[derive(Debug, Clone)]
pub(in crate::source) struct Piece {
    pub(in crate::source) meta: ObjectMeta,
    pub(in crate::source) values: Vec<ScalarValue>,
    from: u64,
    /// `None` for the end of the file.
    until: Option<u64>,
}

impl Piece {
    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.until.unwrap_or(self.meta.size).saturating_sub(self.from)
    }

    fn is_whole(&self) -> bool {
        self.from == 0 && self.until.is_none()
    }
}

impl CsvTable {
    /// The schema of files with these columns.
    pub(in crate::source) fn typed(&self, columns: &Schema) -> SchemaRef {
        let field = |field: &Arc<Field>| match self.parse.get(field.name()) {
            Some(parse) => Arc::new(Field::new(field.name(), parse.target().clone(), true)),
            None => field.clone(),
        };
        Arc::new(Schema::new(columns.fields().iter().map(field).collect::<Vec<_>>()))
    }

    /// The files in at most so many groups of about the same size. In order, each is a stretch of the list of files.
    pub(in crate::source) fn groups(&self, files: Vec<(ObjectMeta, Vec<ScalarValue>)>, groups: usize) -> Vec<Vec<Piece>> {
        let whole: u64 = files.iter().map(|(meta, _)| meta.size).sum();
        let groups = groups.max(1);
        let share = whole.div_ceil(groups as u64).max(1);
        let mut made = vec![Vec::new()];
        let mut before = 0;
        for (meta, values) in files {
            // Where shares end in this file, moved to the nearest place where it can be cut.
            let cuts = self.cuts.get(&meta.location).map_or(&[][..], Vec::as_slice);
            let mut from = 0;
            while made.len() < groups {
                let wanted = (share * made.len() as u64).saturating_sub(before);
                let at = cuts.partition_point(|cut| *cut < wanted);
                let (low, high) = (cuts[..at].last().copied().unwrap_or(0), cuts.get(at).copied().unwrap_or(meta.size));
                let cut = if wanted.abs_diff(low) <= wanted.abs_diff(high) { low } else { high };
                if cut >= meta.size {
                    break;
                }
                if cut > from {
                    add(&mut made, Piece { meta: meta.clone(), values: values.clone(), from, until: Some(cut) });
                    from = cut;
                }
                made.push(Vec::new());
            }
            before += meta.size;
            add(&mut made, Piece { meta, values, from, until: None });
        }
        made.retain(|group| !group.is_empty());
        made
    }
}

fn add(groups: &mut [Vec<Piece>], piece: Piece) {
    if let Some(group) = groups.last_mut() {
        group.push(piece);
    }
}

/// What a scan gives.
#[derive(Debug)]
pub(in crate::source) struct Scan {
    table: CsvTable,
    /// The columns of the files, as text.
    text: SchemaRef,
    /// The wanted columns: places among those of the files, and behind them among the values of partitions.
    wanted: Vec<usize>,
    schema: SchemaRef,
    filter: Option<Filter>,
}

/// Rows for which it does not hold need not come.
#[derive(Debug)]
struct Filter {
    expression: Arc<dyn PhysicalExpr>,
    /// The columns that it speaks of, as above.
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Scan {
    /// Of the wanted columns of a table whose own are `typed`, those of its files first.
    pub(in crate::source) fn new(
        table: &CsvTable,
        text: &SchemaRef,
        typed: &Schema,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        state: &dyn Session,
    ) -> Result<Self> {
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..typed.fields().len()).collect());
        let schema = Arc::new(typed.project(&wanted)?);
        let filter = conjunction(filters.iter().cloned()).map(|filter| Filter::new(&filter, typed, state)).transpose()?;
        Ok(Self { table: table.clone(), text: text.clone(), wanted, schema, filter })
    }

    pub(in crate::source) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The value of a partition column in a file.
    fn partition_value<'a>(&self, piece: &'a Piece, column: usize) -> Result<&'a ScalarValue> {
        let at = column.checked_sub(self.text.fields().len());
        let value = at.and_then(|at| piece.values.get(at));
        value.ok_or_else(|| DataFusionError::Internal(format!("there is no partition column {column}")))
    }

    fn parse(&self, column: usize) -> Option<&ParseText> {
        self.table.parse.get(self.text.fields().get(column)?.name())
    }
}

impl Filter {
    fn new(filter: &Expr, typed: &Schema, state: &dyn Session) -> Result<Self> {
        let unqualified = filter.clone().transform(|part| {
            Ok(match part {
                Expr::Column(column) => Transformed::yes(Expr::Column(Named::new_unqualified(column.name))),
                other => Transformed::no(other),
            })
        })?;
        let mut columns: Vec<usize> =
            unqualified.data.column_refs().iter().map(|column| typed.index_of(&column.name)).collect::<Result<_, _>>()?;
        columns.sort_unstable();
        let schema = Arc::new(typed.project(&columns)?);
        let expression = state.create_physical_expr(unqualified.data, &DFSchema::try_from(schema.clone())?)?;
        Ok(Self { expression, columns, schema })
    }

    fn holds(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        let outcome = self.expression.evaluate(batch)?.into_array(batch.num_rows())?;
        Ok(cast(&outcome, &DataType::Boolean)?.as_boolean().clone())
    }
}

/// Some pieces of a side, one after the other.
#[derive(Debug)]
pub(in crate::source) struct Partition {
    pub(in crate::source) scan: Arc<Scan>,
    pub(in crate::source) pieces: Vec<Piece>,
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.scan.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(self.scan.schema.clone(), 2);
        let rows = context.session_config().batch_size().max(1);
        let (scan, pieces, sender) = (self.scan.clone(), self.pieces.clone(), builder.tx());
        builder.spawn(async move {
            for piece in pieces {
                // Behind so many rows the file was seen not to be regular, and the other reader goes on.
                let mut behind = None;
                loop {
                    let reader = open(&scan.table.store, &piece.meta).await?;
                    let (scan, piece, sender) = (scan.clone(), piece.clone(), sender.clone());
                    let work = tokio::task::spawn_blocking(move || {
                        let reading = Reading { scan: &scan, piece: &piece, rows, sender };
                        match behind {
                            None => reading.regular(reader),
                            Some(given) => reading.irregular(reader, given),
                        }
                    });
                    let gave_up = |e| DataFusionError::Execution(format!("the decoder gave up on damaged data ({e})"));
                    match work.await.map_err(gave_up)?? {
                        After::More => break,
                        After::Enough => return Ok(()),
                        After::Irregular(given) => behind = Some(given),
                    }
                }
            }
            Ok(())
        });
        builder.build()
    }
}

/// How a piece was left.
enum After {
    /// At its end.
    More,
    /// Nobody wants more.
    Enough,
    /// Behind so many rows.
    Irregular(u64),
}

/// Reads a piece.
struct Reading<'a> {
    scan: &'a Scan,
    piece: &'a Piece,
    /// Rows of a batch.
    rows: usize,
    sender: Sender<Result<RecordBatch>>,
}

impl Reading<'_> {
    fn regular(&self, mut reader: Box<dyn Bytes>) -> Result<After> {
        let reading = &self.scan.table.reading;
        let left = self.piece.until.map_or(u64::MAX, |until| until - self.piece.from);
        let reader: Box<dyn Read> = if self.piece.is_whole() {
            unpacked(reader, reading.compression)?
        } else {
            reader.seek(SeekFrom::Start(self.piece.from))?;
            Box::new(reader)
        };
        let columns = self.scan.text.fields().len();
        let mut stretches = Stretches::new(reader, columns, reading.delimiter, reading.header, self.piece.from, left);
        let nulls = Nulls::new(&reading.null_values);
        let mut batch = Batch::new(self.scan, self.piece, self.rows);
        loop {
            let part = match stretches.next() {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(Trouble::Failed(error)) => return Err(error),
                Err(Trouble::Irregular(given)) if self.piece.is_whole() => {
                    // What was read before comes first.
                    return Ok(if self.send(batch.take()?)? { After::Irregular(given) } else { After::Enough });
                }
                Err(Trouble::Irregular(_)) => {
                    let text = "it is not what it was when it was opened: its records begin at other places";
                    return Err(DataFusionError::Execution(text.to_string()));
                }
            };
            let mut rows = part.rows.clone();
            while !rows.is_empty() {
                let now = rows.start..rows.end.min(rows.start + self.rows - batch.len);
                rows.start = now.end;
                batch.add(&part.stretch, now, &nulls)?;
                if batch.len >= self.rows && !self.send(batch.take()?)? {
                    return Ok(After::Enough);
                }
            }
            batch.bytes += part.bytes;
            if batch.bytes > MOST_BATCH && !self.send(batch.take()?)? {
                return Ok(After::Enough);
            }
        }
        Ok(if self.send(batch.take()?)? { After::More } else { After::Enough })
    }

    /// From the start, without so many rows that were given already.
    fn irregular(&self, reader: Box<dyn Bytes>, given: u64) -> Result<After> {
        let reading = &self.scan.table.reading;
        let reader = unpacked(reader, reading.compression)?;
        let mut given = usize::try_from(given).unwrap_or(usize::MAX);
        for batch in irregular::batches(reading, reader, self.scan.text.clone(), self.rows)? {
            let batch = batch?;
            let skipped = given.min(batch.num_rows());
            given -= skipped;
            let rows = batch.slice(skipped, batch.num_rows() - skipped);
            let mut batch = Batch::new(self.scan, self.piece, rows.num_rows());
            batch.append(&rows)?;
            if !self.send(batch.take()?)? {
                return Ok(After::Enough);
            }
        }
        Ok(After::More)
    }

    /// Sends a batch, with the values of the partition; false where nobody wants it.
    fn send(&self, batch: Option<(Vec<Option<ArrayRef>>, usize)>) -> Result<bool> {
        let Some((columns, rows)) = batch else { return Ok(true) };
        let value = |place: usize| self.scan.partition_value(self.piece, place)?.to_array_of_size(rows);
        let columns = columns.into_iter().zip(&self.scan.wanted).map(|(column, &place)| match column {
            Some(column) => Ok(column),
            None => value(place),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.scan.schema.clone(), columns.collect::<Result<_>>()?, &options)?;
        Ok(self.sender.blocking_send(Ok(batch)).is_ok())
    }
}

/// A batch while it is filled: the wanted columns of the file; `None` for those of its partition.
struct Batch<'a> {
    scan: &'a Scan,
    piece: &'a Piece,
    columns: Vec<Option<Column<'a>>>,
    rows: usize,
    len: usize,
    /// Bytes of the records that it holds.
    bytes: usize,
}

impl<'a> Batch<'a> {
    fn new(scan: &'a Scan, piece: &'a Piece, rows: usize) -> Self {
        let own = scan.text.fields().len();
        let column = |&place: &usize| (place < own).then(|| Column::new(scan.parse(place), rows));
        Self { scan, piece, columns: scan.wanted.iter().map(column).collect(), rows, len: 0, bytes: 0 }
    }

    /// Takes some rows of a stretch, as far as the filter leaves them.
    fn add(&mut self, stretch: &Stretch<'_>, rows: Range<usize>, nulls: &Nulls) -> Result<()> {
        let kept = match &self.scan.filter {
            None => None,
            Some(filter) => {
                let mut columns = Vec::with_capacity(filter.columns.len());
                for &place in &filter.columns {
                    if place >= self.scan.text.fields().len() {
                        columns.push(self.scan.partition_value(self.piece, place)?.to_array_of_size(rows.len())?);
                        continue;
                    }
                    let mut column = Column::new(self.scan.parse(place), rows.len());
                    column.extend(stretch, place, rows.clone(), nulls)?;
                    columns.push(column.finish()?);
                }
                let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
                let holds = filter.holds(&RecordBatch::try_new_with_options(filter.schema.clone(), columns, &options)?)?;
                let kept = rows.clone().zip(&holds).filter(|(_, holds)| *holds == Some(true)).map(|(row, _)| row);
                Some(kept.collect::<Vec<_>>()).filter(|kept| kept.len() < rows.len())
            }
        };
        self.len += kept.as_ref().map_or(rows.len(), Vec::len);
        for (column, &place) in self.columns.iter_mut().zip(&self.scan.wanted) {
            let Some(column) = column else { continue };
            match &kept {
                None => column.extend(stretch, place, rows.clone(), nulls)?,
                Some(kept) => column.extend(stretch, place, kept.iter().copied(), nulls)?,
            }
        }
        Ok(())
    }

    /// Takes rows whose columns are all text.
    fn append(&mut self, rows: &RecordBatch) -> Result<()> {
        self.len += rows.num_rows();
        for (column, &place) in self.columns.iter_mut().zip(&self.scan.wanted) {
            if let Some(column) = column {
                column.append(rows.column(place).as_string::<i32>())?;
            }
        }
        Ok(())
    }

    /// What it holds, if that is anything, and begins again.
    fn take(&mut self) -> Result<Option<(Vec<Option<ArrayRef>>, usize)>> {
        if self.len == 0 {
            return Ok(None);
        }
        let full = std::mem::replace(self, Self::new(self.scan, self.piece, self.rows));
        let columns = full.columns.into_iter().map(|column| column.map(Column::finish).transpose());
        Ok(Some((columns.collect::<Result<_>>()?, full.len)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_of_about_one_size_and_lose_nothing() {
        let file = |name: &str, size: u64| {
            let meta = ObjectMeta { location: Path::from(name), last_modified: chrono::Utc::now(), size, e_tag: None, version: None };
            (meta, Vec::new())
        };
        let table = |cuts: &[(&str, Vec<u64>)]| CsvTable {
            reading: CsvReading { delimiter: b',', header: true, null_values: Vec::new(), compression: Compression::None },
            store: Arc::new(object_store::local::LocalFileSystem::new()),
            parse: Arc::default(),
            cuts: Arc::new(cuts.iter().map(|(name, cuts)| (Path::from(*name), cuts.clone())).collect()),
        };
        let shape = |table: &CsvTable, files: Vec<(ObjectMeta, Vec<ScalarValue>)>, groups: usize| -> Vec<Vec<(String, u64, u64)>> {
            let piece = |piece: &Piece| (piece.meta.location.to_string(), piece.from, piece.bytes());
            table.groups(files, groups).iter().map(|group| group.iter().map(piece).collect()).collect()
        };
        let cut = table(&[("a", vec![40, 80]), ("b", vec![50])]);
        let pieces =
            |list: &[(&str, u64, u64)]| list.iter().map(|(name, from, bytes)| (name.to_string(), *from, *bytes)).collect::<Vec<_>>();
        assert_eq!(shape(&cut, vec![file("a", 100)], 2), [pieces(&[("a", 0, 40)]), pieces(&[("a", 40, 60)])]);
        assert_eq!(shape(&cut, vec![file("a", 100), file("b", 100)], 2), [pieces(&[("a", 0, 100)]), pieces(&[("b", 0, 100)])]);
        assert_eq!(
            shape(&cut, vec![file("a", 100), file("b", 100)], 4),
            [pieces(&[("a", 0, 40)]), pieces(&[("a", 40, 60)]), pieces(&[("b", 0, 50)]), pieces(&[("b", 50, 50)])]
        );
        // What cannot be cut is kept together with what lies nearest.
        let uncut = table(&[]);
        assert_eq!(
            shape(&uncut, vec![file("a", 100), file("b", 100), file("c", 1)], 2),
            [pieces(&[("a", 0, 100)]), pieces(&[("b", 0, 100), ("c", 0, 1)])]
        );
        for groups in 1..12 {
            let files = vec![file("a", 100), file("c", 0), file("b", 100), file("d", 7)];
            let all: Vec<_> = shape(&cut, files, groups).concat();
            assert_eq!(all.iter().map(|(_, _, bytes)| bytes).sum::<u64>(), 207, "{groups}: {all:?}");
            assert!(all.is_sorted_by_key(|(name, from, _)| (["a", "c", "b", "d"].iter().position(|known| known == name), *from)));
        }
    }
}
