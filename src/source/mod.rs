//! Opening a side.
//!
//! ```text
//! path, glob, directory ──► listing ──► format ──► columns as stored ──► guess of text columns
//!                                                                             │
//!                              typed, renamed, filtered view  ◄───────────────┘  (the other side's types help)
//! ```
//!
//! Every source ends as a DataFusion table provider behind an object store URL, so that a store or a database comes in
//! without a second path. Floor 2: imports `domain`, `job` and `error`.

mod csv;
mod files_table;
mod footers;
mod formats;
mod functions;
mod guarded;
mod guess;
mod ipc_shape;
mod json_fields;
mod listing;
mod local;
mod opening;
mod view;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::dataframe::DataFrame;
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use object_store::path::Path;

pub use functions::UntoldValue;
pub use guarded::{Guard, describe_engine_error, guarded};
pub use listing::FileFacts;
pub(crate) use local::LocalFiles;
pub use view::view;

use crate::domain::Side;
use crate::error::Result;
use crate::job::{Format, SideSpec};

/// A side whose files are known, with its columns as they are stored.
#[derive(Debug)]
pub struct Discovered {
    /// Which side.
    pub side: Side,
    /// How it is to be opened.
    pub spec: SideSpec,
    /// Its files, sorted by path.
    pub files: Vec<FileFacts>,
    /// The format of all of them.
    pub format: Format,
    /// The stored columns under the names that the job uses.
    columns: Vec<StoredColumn>,
    table: files_table::FilesTable,
    /// The same files, decoded into the types that take least to make.
    compact: Option<files_table::FilesTable>,
    rows_hint: Option<u64>,
    file_rows: Option<Vec<u64>>,
    row_groups: Option<Arc<footers::RowGroups>>,
    never_null: BTreeSet<String>,
}

/// One stored column of a side.
#[derive(Debug, Clone)]
struct StoredColumn {
    /// Its name in the files.
    stored: String,
    /// Its name in the job.
    name: String,
    data_type: DataType,
    /// For text formats: what its values could be.
    traits: Option<guess::Traits>,
    /// The format says that its values are text (JSON strings).
    quoted: bool,
}

/// A side as a typed, renamed and filtered table.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Which side.
    pub side: Side,
    /// Its rows.
    pub frame: DataFrame,
    /// The same rows in the types that take least to decode: text as views, or as dictionaries where a few values come
    /// again and again, and narrow decimals. For passes to which the physical form of a value does not matter.
    pub compact: DataFrame,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its files, sorted by path.
    pub files: Vec<FileFacts>,
    /// Columns whose types were guessed or taken from the other side: name and type.
    pub guessed: Vec<(String, String)>,
    /// Columns whose types come from text, so that a difference to the other side's type is no conversion.
    pub from_text: Vec<String>,
    /// Columns that were read as local times in a zone, each with the column of [`Self::frame`] beside it that says which of its values mean no
    /// instant, or one of two ([`UntoldValue`]). Those are not in [`Self::schema`].
    pub untold: Vec<(String, String)>,
    /// The format of all files.
    pub format: Format,
    /// Text columns in which every value is a time, but some have an offset and some have none.
    pub mixed_times: Vec<String>,
    /// Rows in the files, where opening them told; before any filter.
    pub rows_hint: Option<u64>,
    /// Rows of each file, where all files state them.
    pub file_rows: Option<Vec<u64>>,
    /// Rows are left out by a filter of the side's own.
    pub filtered: bool,
    /// Columns, in the types in which they are stored, that cannot hold NULL.
    pub never_null: BTreeSet<String>,
    row_groups: Option<Arc<footers::RowGroups>>,
    /// The name of a column in the files, by its name in the job.
    stored_names: HashMap<String, String>,
    table: files_table::FilesTable,
}

/// In how many parts a side is read, each in the order in which its rows are stored, and where the parts begin, where that is said.
#[derive(Debug, Clone)]
pub struct InOrder {
    /// At most so many parts.
    pub parts: usize,
    stretches: Option<Arc<Vec<footers::Stretch>>>,
}

impl InOrder {
    /// In so many parts, cut anywhere.
    pub fn anywhere(parts: usize) -> Self {
        Self { parts, stretches: None }
    }
}

/// Both sides in so many parts, those of a number with the same stretch of a column that both sides have. `None` where the files do not
/// tell where to cut, or the column is not stored alike.
pub fn cut_alike(original: &Opened, backfill: &Opened, column: &str, parts: usize) -> Option<[InOrder; 2]> {
    let stored = |opened: &Opened| opened.schema.field_with_name(column).map(|field| field.data_type().clone()).ok();
    if stored(original) != stored(backfill) {
        return None;
    }
    let of = |opened: &'_ Opened| Some((opened.row_groups.clone()?, opened.stored_names.get(column)?.clone()));
    let ((one, one_name), (other, other_name)) = (of(original)?, of(backfill)?);
    let cut = footers::cut_alike((one.as_ref(), one_name.as_str()), (other.as_ref(), other_name.as_str()), parts)?;
    Some(cut.map(|stretches| InOrder { parts: stretches.len(), stretches: Some(Arc::new(stretches)) }))
}

impl Opened {
    /// Size of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// What reading all of it costs, to be held against another side's: by what must be decompressed, and how, or else by size.
    pub fn cost(&self) -> u64 {
        self.row_groups.as_ref().map_or_else(|| self.bytes(), |groups| groups.cost)
    }

    /// Rows that must come out of a scan of everything, where the files state them and nothing filters.
    pub fn rows_by_metadata(&self) -> Option<u64> {
        self.rows_hint.filter(|_| self.format == Format::Parquet && !self.filtered)
    }

    /// The same side with some of its files only.
    ///
    /// # Errors
    /// The plan could not be rewritten.
    pub fn only(&self, wanted: &dyn Fn(usize) -> bool) -> std::result::Result<Self, DataFusionError> {
        let keep: HashSet<Path> =
            self.table.files.iter().enumerate().filter(|(at, _)| wanted(*at)).map(|(_, (meta, _))| meta.location.clone()).collect();
        Ok(Self { frame: with_files(&self.frame, &keep)?, compact: with_files(&self.compact, &keep)?, rows_hint: None, ..self.clone() })
    }

    /// Files that are not what they were when the side was opened, and those that came or went since.
    pub async fn changed(&self, context: &SessionContext, spec: &SideSpec) -> Vec<String> {
        let Ok(now) = listing::list(context, self.side, spec).await else { return vec![crate::error::redacted(&spec.path)] };
        let differ = |mine: &[FileFacts], theirs: &[FileFacts]| -> Vec<String> {
            mine.iter().filter(|file| !theirs.contains(file)).map(|file| file.path.clone()).collect()
        };
        let mut changed = differ(&self.files, &now.files);
        changed.extend(differ(&now.files, &self.files));
        changed.sort();
        changed.dedup();
        changed
    }
}

/// A frame whose scan reads some of the files only.
fn with_files(frame: &DataFrame, keep: &HashSet<Path>) -> std::result::Result<DataFrame, DataFusionError> {
    with_table(frame, &|table| {
        let files = table.files.iter().filter(|(meta, _)| keep.contains(&meta.location)).cloned().collect();
        files_table::FilesTable { files, ..table.clone() }
    })
}

/// A frame whose scan gives the rows in the order in which they are stored: each part of it a stretch of the list of files.
///
/// # Errors
/// The plan could not be rewritten.
pub fn in_order(frame: &DataFrame, how: &InOrder) -> std::result::Result<DataFrame, DataFusionError> {
    with_table(frame, &|table| files_table::FilesTable { in_order: true, stretches: how.stretches.clone(), ..table.clone() })
}

fn with_table(
    frame: &DataFrame,
    change: &dyn Fn(&files_table::FilesTable) -> files_table::FilesTable,
) -> std::result::Result<DataFrame, DataFusionError> {
    let (state, plan) = frame.clone().into_parts();
    let plan = plan.transform(|node| {
        let LogicalPlan::TableScan(mut scan) = node else { return Ok(Transformed::no(node)) };
        let provider = source_as_provider(&scan.source)?;
        let Some(table) = provider.downcast_ref::<files_table::FilesTable>() else {
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        scan.source = provider_as_source(Arc::new(change(table)));
        Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
    })?;
    Ok(DataFrame::new(state, plan.data))
}

/// Pairs of files, one of each side, that hold the same bytes. Of the same reading they hold the same rows.
///
/// # Errors
/// A file could not be read.
pub fn identical_files(original: &Opened, backfill: &Opened) -> std::io::Result<Vec<(usize, usize)>> {
    let mut by_size: HashMap<u64, Vec<usize>> = HashMap::new();
    for (at, file) in backfill.files.iter().enumerate() {
        by_size.entry(file.bytes).or_default().push(at);
    }
    let mut pairs = Vec::new();
    for (at, file) in original.files.iter().enumerate() {
        let Some(candidates) = by_size.get_mut(&file.bytes) else { continue };
        for place in 0..candidates.len() {
            let other = candidates[place];
            // The values of partition columns are part of the rows.
            if original.table.files[at].1 == backfill.table.files[other].1 && same_bytes(&file.path, &backfill.files[other].path)? {
                pairs.push((at, other));
                candidates.remove(place);
                break;
            }
        }
    }
    Ok(pairs)
}

fn same_bytes(one: &str, other: &str) -> std::io::Result<bool> {
    if one == other {
        return Ok(true);
    }
    let (mut a, mut b) = (std::fs::File::open(one)?, std::fs::File::open(other)?);
    let (mut x, mut y) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    loop {
        let read = fill(&mut a, &mut x)?;
        if fill(&mut b, &mut y)? != read || x[..read] != y[..read] {
            return Ok(false);
        }
        if read < x.len() {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut std::fs::File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}

/// The first file of a side that cannot be read to its end, for an error that names it.
pub async fn unreadable_file(context: &SessionContext, opened: &Opened) -> Option<String> {
    if let [only] = opened.files.as_slice() {
        return Some(only.path.clone());
    }
    for (file, facts) in opened.table.files.iter().zip(&opened.files) {
        let one = files_table::FilesTable { files: vec![file.clone()], ..opened.table.clone() };
        let read = guarded(async {
            let mut rows = context.read_table(std::sync::Arc::new(one))?.execute_stream().await?;
            while futures::TryStreamExt::try_next(&mut rows).await?.is_some() {}
            Ok(())
        });
        if read.await.is_err() {
            return Some(facts.path.clone());
        }
    }
    None
}

/// Finds a side's files, its format and its stored columns.
///
/// # Errors
/// The path leads nowhere, or what is there cannot be read as one table.
pub async fn discover(context: &SessionContext, side: Side, spec: &SideSpec) -> Result<Discovered> {
    let found = listing::list(context, side, spec).await?;
    formats::discover(context, side, spec, found).await
}
