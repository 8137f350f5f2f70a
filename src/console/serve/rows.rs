//! Rows of the engine as rows of the protocol.
//!
//! The crate for this does everything but decimals of more than 28 digits, which a sequence of the report may have. Those are written here.

use std::error::Error;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Decimal128Type};
use bytes::{BufMut, BytesMut};
use datafusion::execution::SendableRecordBatchStream;
use datafusion_postgres::arrow_pg::encoder::encode_value;
use datafusion_postgres::pgwire::api::results::{DataRowEncoder, FieldInfo, QueryResponse};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::data::DataRow;
use datafusion_postgres::pgwire::types::ToSqlText;
use datafusion_postgres::pgwire::types::format::FormatOptions;
use futures::{StreamExt, stream};
use postgres_types::{IsNull, ToSql, Type, to_sql_checked};

use super::super::statement::Phase;
use super::sqlstate::engine;

/// The answer to a statement, made as it is sent.
pub(super) fn answer(rows: SendableRecordBatchStream, fields: Arc<Vec<FieldInfo>>, statement: String) -> QueryResponse {
    let columns = Arc::clone(&fields);
    let rows = rows.flat_map(move |batch| {
        let encoded: Box<dyn Iterator<Item = PgWireResult<DataRow>> + Send> = match batch {
            Ok(batch) => Box::new(encode(batch, Arc::clone(&columns))),
            Err(failure) => Box::new(std::iter::once(Err(engine(failure, &statement, &[], Phase::Running)))),
        };
        stream::iter(encoded)
    });
    QueryResponse::new(fields, rows)
}

fn encode(batch: RecordBatch, fields: Arc<Vec<FieldInfo>>) -> impl Iterator<Item = PgWireResult<DataRow>> + Send {
    let mut encoder = DataRowEncoder::new(Arc::clone(&fields));
    (0..batch.num_rows()).map(move |row| {
        let schema = batch.schema_ref();
        for (place, (column, field)) in batch.columns().iter().zip(schema.fields()).enumerate() {
            let Some(info) = fields.get(place) else {
                return Err(PgWireError::ParameterIndexOutOfBound(place));
            };
            match field.data_type() {
                DataType::Decimal128(_, scale) if *scale >= 0 => {
                    let values = column.as_primitive::<Decimal128Type>();
                    let value = values.is_valid(row).then(|| Numeric { value: values.value(row), scale: scale.unsigned_abs() });
                    encoder.encode_field(&value)?;
                }
                _ => encode_value(&mut encoder, column, row, field, info)?,
            }
        }
        Ok(encoder.take_row())
    })
}

/// `value / 10^scale`, of up to 38 digits.
#[derive(Debug, Clone, Copy)]
struct Numeric {
    value: i128,
    scale: u8,
}

impl Numeric {
    /// The digits before and after the point.
    fn digits(self) -> (String, String) {
        let scale = usize::from(self.scale);
        let all = format!("{:0>width$}", self.value.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = all.split_at(all.len() - scale);
        (whole.to_owned(), fraction.to_owned())
    }
}

impl ToSqlText for Numeric {
    fn to_sql_text(&self, _type: &Type, out: &mut BytesMut, _options: &FormatOptions) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let (whole, fraction) = self.digits();
        if self.value < 0 {
            out.put_u8(b'-');
        }
        out.put_slice(whole.as_bytes());
        if !fraction.is_empty() {
            out.put_u8(b'.');
            out.put_slice(fraction.as_bytes());
        }
        Ok(IsNull::No)
    }
}

impl ToSql for Numeric {
    /// Groups of four digits, the weight of the first, a sign, and how many digits follow the point.
    fn to_sql(&self, _type: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let (whole, fraction) = self.digits();
        let before = whole.len().div_ceil(4);
        let after = fraction.len().div_ceil(4);
        let padded = format!("{whole:0>before$}{fraction:0<after$}", before = before * 4, after = after * 4);
        let mut groups = Vec::new();
        for group in 0..before + after {
            groups.push(padded[group * 4..group * 4 + 4].parse::<i16>()?);
        }
        let mut weight = i16::try_from(before)? - 1;
        while groups.first() == Some(&0) {
            groups.remove(0);
            weight -= 1;
        }
        while groups.last() == Some(&0) {
            groups.pop();
        }
        if groups.is_empty() {
            weight = 0;
        }
        out.put_i16(i16::try_from(groups.len())?);
        out.put_i16(weight);
        out.put_u16(if self.value < 0 { 0x4000 } else { 0 });
        out.put_u16(u16::from(self.scale));
        for group in groups {
            out.put_i16(group);
        }
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::NUMERIC
    }

    to_sql_checked!();
}
