//! Functions that make a large value of a small statement, held to a size.
//!
//! The memory pool counts what operators hold, not what a function makes: `repeat('x', 2000000000)` would take gigabytes that nobody
//! counts. The values that one call makes for a batch of rows are bounded here, before they are made.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};
use datafusion::prelude::SessionContext;

/// The most bytes, roughly, that one call may make for one batch of rows.
const MOST: u128 = 64 << 20;

/// Which functions take a count, at which place of their arguments, and how many bytes one more costs at least.
const COUNTED: [(&str, Count); 8] = [
    ("repeat", Count::TimesFirst(1)),
    ("lpad", Count::Each(1)),
    ("rpad", Count::Each(1)),
    ("space", Count::Each(0)),
    ("array_repeat", Count::TimesFirst(1)),
    ("array_resize", Count::Each(1)),
    ("range", Count::Between),
    ("generate_series", Count::Between),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Count {
    /// So many times the first argument.
    TimesFirst(usize),
    /// So many characters or elements.
    Each(usize),
    /// As many elements as lie between the first two arguments.
    Between,
}

/// Puts a bound on each of these functions that the session has.
pub(super) fn bound(context: &SessionContext) {
    let state = context.state();
    for (name, count) in COUNTED {
        if let Some(function) = state.scalar_functions().get(name) {
            context.register_udf(ScalarUDF::new_from_impl(Bounded { inner: Arc::clone(function), count }));
        }
    }
}

#[derive(Debug)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    count: Count,
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.inner == other.inner
    }
}

impl Eq for Bounded {}

impl Hash for Bounded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(arguments)
    }

    fn coerce_types(&self, arguments: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arguments)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let size = self.size(&arguments)?;
        if size > MOST {
            return Err(DataFusionError::ResourcesExhausted(format!(
                "{} would make {size} bytes at once, and {MOST} are the most",
                self.inner.name()
            )));
        }
        self.inner.invoke_with_args(arguments)
    }
}

impl Bounded {
    fn size(&self, arguments: &ScalarFunctionArgs) -> Result<u128> {
        let rows = arguments.number_rows;
        let numbers = |place: usize| -> Result<Option<Vec<i64>>> {
            let Some(argument) = arguments.args.get(place) else { return Ok(None) };
            let Ok(numbers) = argument.cast_to(&DataType::Int64, None) else { return Ok(None) };
            let array = numbers.to_array(rows)?;
            let array = array.as_primitive::<Int64Type>();
            Ok(Some((0..array.len()).map(|row| if array.is_valid(row) { array.value(row) } else { 0 }).collect()))
        };
        let total = |counts: Option<Vec<i64>>, each: u128| {
            counts.into_iter().flatten().map(|count| u128::from(count.unsigned_abs()) * each).fold(0, u128::saturating_add)
        };
        Ok(match self.count {
            Count::Each(place) => total(numbers(place)?, 4),
            Count::TimesFirst(place) => {
                let lengths = arguments.args.first().map(|first| first.to_array(rows)).transpose()?.map(|first| bytes_of_each(&first));
                let pairs = lengths.into_iter().flatten().zip(numbers(place)?.into_iter().flatten());
                pairs.map(|(length, count)| length * u128::from(count.unsigned_abs())).fold(0, u128::saturating_add)
            }
            Count::Between => match (numbers(0)?, numbers(1)?) {
                (Some(first), Some(last)) => {
                    let steps = numbers(2)?;
                    let step = |row: usize| steps.as_ref().and_then(|steps| steps.get(row)).map_or(1, |step| step.unsigned_abs().max(1));
                    first.iter().zip(&last).enumerate().map(|(row, (a, b))| u128::from(a.abs_diff(*b) / step(row)) * 8).sum()
                }
                (Some(last), None) => total(Some(last), 8),
                _ => 0,
            },
        })
    }
}

/// How long each value is: exact for text, an average for what else can be repeated.
fn bytes_of_each(values: &ArrayRef) -> Vec<u128> {
    let lengths = |lengths: &mut dyn Iterator<Item = Option<usize>>| lengths.map(|length| length.unwrap_or(0) as u128).collect();
    match values.data_type() {
        DataType::Utf8 => lengths(&mut values.as_string::<i32>().iter().map(|text| text.map(str::len))),
        DataType::LargeUtf8 => lengths(&mut values.as_string::<i64>().iter().map(|text| text.map(str::len))),
        DataType::Utf8View => lengths(&mut values.as_string_view().iter().map(|text| text.map(str::len))),
        _ => vec![(values.get_array_memory_size() / values.len().max(1)) as u128 + 1; values.len()],
    }
}
