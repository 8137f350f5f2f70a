//! A filter over key columns that a scan can take into its decoder, so that the other columns of rows that nobody
//! asked for are never made.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::prelude::{Expr, ident};

use super::hashing::SideHasher;
use super::sketch::Tags;
use crate::domain::{Seed, Side};
use crate::staging::Prepared;

/// True for the rows whose key has one of some tags.
struct Suspect {
    signature: Signature,
    names: Vec<String>,
    side: Side,
    hasher: SideHasher,
    tags: Arc<Tags>,
}

impl std::fmt::Debug for Suspect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suspect").field("side", &self.side).field("columns", &self.names).finish_non_exhaustive()
    }
}

// One filter is another only if it looks for the same set of tags.
impl PartialEq for Suspect {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tags, &other.tags) && self.side == other.side && self.names == other.names
    }
}

impl Eq for Suspect {}

impl Hash for Suspect {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (Arc::as_ptr(&self.tags) as usize).hash(state);
        self.side.index().hash(state);
        self.names.hash(state);
    }
}

impl ScalarUDFImpl for Suspect {
    fn name(&self) -> &str {
        "gapless_suspect"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = args.args.iter().map(|value| value.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let fields: Vec<Field> =
            self.names.iter().zip(&arrays).map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(args.number_rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
        let keys = self.hasher.hash(&batch, false).map_err(|e| DataFusionError::Execution(e.to_string()))?.keys;
        let mask = BooleanArray::new(BooleanBuffer::collect_bool(keys.len(), |row| self.tags.contains(keys[row])), None);
        Ok(ColumnarValue::Array(Arc::new(mask)))
    }
}

/// The filter for the rows of a side whose keys have one of the tags.
pub(super) fn suspect(prepared: &Prepared, side: Side, seed: &Seed, tags: &Arc<Tags>) -> Expr {
    let names: Vec<String> = prepared.identity().into_iter().map(|place| prepared.paired[place].name.clone()).collect();
    let arguments = names.iter().map(|name| ident(name.clone())).collect();
    // Only the names and their places matter.
    let batches = Schema::new(names.iter().map(|name| Field::new(name, DataType::Null, true)).collect::<Vec<_>>());
    let hasher = SideHasher::new(side, prepared, seed, &batches);
    let function = Suspect { signature: Signature::variadic_any(Volatility::Immutable), names, side, hasher, tags: tags.clone() };
    ScalarUDF::from(function).call(arguments)
}
