//! Columns that are filled from cells.

use arrow::array::{ArrayRef, StringArray, StringBuilder};
use datafusion::error::Result;

use super::Nulls;
use super::records::Stretch;
use crate::source::functions::{Filling, ParseText};

/// A column of a batch while it is made.
#[derive(Debug)]
pub(super) enum Column<'a> {
    /// As it is written.
    Text(StringBuilder),
    /// In another type.
    Typed(Filling<'a>),
}

impl<'a> Column<'a> {
    /// For about so many rows.
    pub(super) fn new(parse: Option<&'a ParseText>, rows: usize) -> Self {
        match parse {
            None => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
            Some(parse) => Self::Typed(Filling::new(parse, rows)),
        }
    }

    /// Takes the cells of some rows.
    pub(super) fn extend(&mut self, stretch: &Stretch<'_>, column: usize, rows: impl Iterator<Item = usize>, nulls: &Nulls) -> Result<()> {
        let texts = rows.map(|row| nulls.value(stretch.cell(row, column)));
        match self {
            Self::Text(builder) => texts.for_each(|text| builder.append_option(text)),
            Self::Typed(filling) => filling.extend(texts)?,
        }
        Ok(())
    }

    /// Takes a column of text.
    pub(super) fn append(&mut self, text: &StringArray) -> Result<()> {
        match self {
            Self::Text(builder) => text.iter().for_each(|text| builder.append_option(text)),
            Self::Typed(filling) => filling.extend(text.iter())?,
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<ArrayRef> {
        Ok(match self {
            Self::Text(mut builder) => std::sync::Arc::new(builder.finish()),
            Self::Typed(filling) => filling.finish()?,
        })
    }
}
