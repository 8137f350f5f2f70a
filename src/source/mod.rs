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

mod csv_table;
mod files_table;
mod footers;
mod formats;
mod functions;
mod guarded;
mod guess;
mod ipc_shape;
mod json_fields;
mod listing;
mod opening;
mod view;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::dataframe::DataFrame;
use datafusion::prelude::SessionContext;

pub use guarded::{Guard, describe_engine_error, guarded};
pub use listing::FileFacts;
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
    /// The format of all files.
    pub format: Format,
    /// Text columns in which every value is a time, but some have an offset and some have none.
    pub mixed_times: Vec<String>,
    /// Rows in the files, where opening them told; before any filter.
    pub rows_hint: Option<u64>,
    table: files_table::FilesTable,
}

impl Opened {
    /// Size of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
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
