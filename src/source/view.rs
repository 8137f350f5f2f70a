//! The typed, renamed and filtered view of a side that everything later reads.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::{Expr, SessionContext, ident};

use super::guess::{as_said, word};
use super::{Discovered, Opened, StoredColumn, describe_engine_error};
use crate::error::{Error, Result};
use crate::job::Ambiguous;
use crate::job::{ColumnType, Format};
use crate::source::functions::{LocalTime, ParseText, UntoldTime, epoch_format};

/// What makes a column of what is stored.
enum Reader {
    /// An expression over it.
    Expression(Expr),
    /// A parser of its text.
    Parse(ParseText),
}

impl Reader {
    fn over(&self, stored: &str) -> Expr {
        match self {
            Self::Expression(expression) => expression.clone(),
            Self::Parse(parse) => ScalarUDF::from(parse.clone()).call(vec![ident(stored)]),
        }
    }
}

/// How a column is read.
struct Reading {
    reader: Reader,
    guessed: Option<String>,
    from_text: bool,
    /// Values that are local times of which nobody can say which instant they are, where the column could hold some.
    untold: Option<Expr>,
}

/// Opens a side. The other side's columns, where it is typed, decide what text columns are read as; where both are
/// text, what holds for both sides does. `time` is the event time column, to which `time_format` applies.
///
/// # Errors
/// An option that does not fit the data, or a filter that is not a predicate over the columns.
pub fn view(
    context: &SessionContext,
    mine: &Discovered,
    other: Option<&Discovered>,
    time: Option<&str>,
    masked: &[String],
) -> Result<Opened> {
    let mut expressions = Vec::new();
    let mut guessed = Vec::new();
    let mut from_text = Vec::new();
    let mut untold: Vec<(String, String)> = Vec::new();
    let mut untold_expressions = Vec::new();
    let timed = time_format_column(mine, time)?;
    let mut table = mine.table.clone();
    let mut parses = HashMap::new();
    for column in &mine.columns {
        let reading = read_column(mine, other, column, timed.as_deref() == Some(column.name.as_str()), masked.contains(&column.name));
        // A CSV is read into the types that are wanted as it is taken apart. Under a filter that is not so, since what it leaves out need not
        // parse, nor where the text is looked at too.
        let at_once = table.csv.is_some() && mine.spec.filter.is_none() && reading.untold.is_none();
        let expression = match &reading.reader {
            Reader::Parse(parse) if at_once => {
                parses.insert(column.stored.clone(), parse.clone());
                ident(column.stored.clone())
            }
            reader => reader.over(&column.stored),
        };
        expressions.push(expression.alias(column.name.clone()));
        if let Some(word) = reading.guessed {
            guessed.push((column.name.clone(), word));
        }
        if reading.from_text {
            from_text.push(column.name.clone());
        }
        if let Some(expression) = reading.untold {
            let mut beside = format!("__untold_{}", untold.len());
            while mine.columns.iter().any(|column| column.name == beside) {
                beside.push('_');
            }
            untold_expressions.push(expression.alias(beside.clone()));
            untold.push((column.name.clone(), beside));
        }
    }
    let own = expressions.len();
    expressions.extend(untold_expressions);
    if let Some(csv) = &mut table.csv {
        csv.parse = Arc::new(parses);
    }
    let engine = || Error::engine(format!("opening the {}", mine.side));
    // A filter is written for the types that are shown, and so are conversions of stored columns.
    let plain = mine.spec.filter.is_some() || !mine.spec.columns.is_empty() || timed.is_some();
    let compact = match mine.compact.as_ref().filter(|_| !plain) {
        Some(table) => {
            Some(context.read_table(Arc::new(table.clone())).and_then(|frame| frame.select(expressions.clone())).map_err(engine())?)
        }
        None => None,
    };
    let frame = context
        .read_table(Arc::new(table))
        .and_then(|frame| if expressions.is_empty() { Ok(frame) } else { frame.select(expressions) })
        .map_err(engine())?;
    let frame = match &mine.spec.filter {
        None => frame,
        Some(sql) => {
            let wrong = |problem: String| Error::SideOption {
                side: mine.side.to_string(),
                option: "filter".to_string(),
                problem,
                help: "write a SQL predicate over the columns, for instance \"region = 'eu' AND amount > 0\"".to_string(),
            };
            let mut expression = frame.parse_sql_expr(sql).map_err(|e| wrong(describe_engine_error(&e)))?;
            // A row must not drop out in silence because nobody can say which instant its time is.
            if let Some(any) = untold.iter().map(|(_, beside)| ident(beside.clone()).is_not_null()).reduce(Expr::or) {
                expression = expression.clone().is_true().or(expression.is_null().and(any));
            }
            frame.filter(expression).map_err(|e| wrong(describe_engine_error(&e)))?
        }
    };
    let mixed_times =
        mine.columns.iter().filter(|c| c.traits.as_ref().is_some_and(|t| t.is_mixed_time())).map(|c| c.name.clone()).collect();
    let fields = frame.schema().as_arrow().fields();
    let schema = Arc::new(Schema::new(if own > 0 { fields.iter().take(own).cloned().collect() } else { fields.clone() }));
    Ok(Opened {
        side: mine.side,
        compact: compact.unwrap_or_else(|| frame.clone()),
        frame,
        schema: schema.clone(),
        files: mine.files.clone(),
        guessed,
        from_text,
        untold,
        format: mine.format,
        mixed_times,
        table: mine.table.clone(),
        rows_hint: mine.rows_hint,
        file_rows: mine.file_rows.clone(),
        never_null: mine
            .columns
            .iter()
            .filter(|column| mine.never_null.contains(&column.stored))
            .filter(|column| schema.field_with_name(&column.name).is_ok_and(|field| *field.data_type() == column.data_type))
            .map(|column| column.name.clone())
            .collect(),
        row_groups: mine.row_groups.clone(),
        stored_names: mine.columns.iter().map(|column| (column.name.clone(), column.stored.clone())).collect(),
        filtered: mine.spec.filter.is_some(),
    })
}

/// The column that `time_format` speaks of: the event time, or the only text column said to be a time.
fn time_format_column(mine: &Discovered, time: Option<&str>) -> Result<Option<String>> {
    if mine.spec.time_format.is_none() {
        return Ok(None);
    }
    let known = |name: &str| mine.columns.iter().any(|column| column.name == name);
    match time {
        Some(name) if known(name) => Ok(Some(name.to_string())),
        _ => {
            let said: Vec<&str> = mine
                .spec
                .columns
                .iter()
                .filter(|(_, said)| matches!(said.data_type(), DataType::Timestamp(_, _) | DataType::Date32))
                .map(|(name, _)| name.as_str())
                .collect();
            if said.is_empty() {
                return Err(Error::SideOption {
                    side: mine.side.to_string(),
                    option: "time_format".to_string(),
                    problem: "it is not clear which column it describes".to_string(),
                    help: "name the event time with `--time COLUMN`, or say `columns=COLUMN:timestamp`".to_string(),
                });
            }
            Ok(None)
        }
    }
}

fn read_column(mine: &Discovered, other: Option<&Discovered>, column: &StoredColumn, is_time: bool, masked: bool) -> Reading {
    let spec = &mine.spec;
    let raw = ident(column.stored.clone());
    let text_format = matches!(mine.format, Format::Csv | Format::JsonLines | Format::JsonArray);
    let said = spec.columns.iter().find(|(name, _)| *name == column.name).map(|(_, said)| said.clone());
    let time_format = spec.time_format.as_deref();
    // A naive time becomes an instant where a zone says what it means.
    let instant = |unit| DataType::Timestamp(unit, Some("UTC".into()));
    let with_zone = |data_type: DataType| match data_type {
        DataType::Timestamp(unit, None) if spec.time_zone.is_some() => instant(unit),
        other => other,
    };
    if let Some(said) = said {
        let said = match said {
            ColumnType::Plain(plain) => ColumnType::Plain(with_zone(plain)),
            epoch @ ColumnType::Epoch(_) => epoch,
        };
        let parse = ParseText::new(&column.name, &said, time_format_for(&said, time_format), spec.time_zone, spec.ambiguous).masked(masked);
        // A type that somebody said is taken at its word: a difference to the other side's is a conversion.
        return parsed(parse, raw, spec.ambiguous, None, false);
    }
    if is_time && let Some(format) = time_format {
        let said = match epoch_format(format) {
            Some(1) => ColumnType::Epoch(arrow::datatypes::TimeUnit::Second),
            Some(1_000) => ColumnType::Epoch(arrow::datatypes::TimeUnit::Millisecond),
            Some(1_000_000) => ColumnType::Epoch(arrow::datatypes::TimeUnit::Microsecond),
            Some(_) => ColumnType::Epoch(arrow::datatypes::TimeUnit::Nanosecond),
            None => ColumnType::Plain(format_type(format, spec.time_zone.is_some())),
        };
        let parse =
            ParseText::new(&column.name, &said, time_format_for(&said, Some(format)), spec.time_zone, spec.ambiguous).masked(masked);
        return parsed(parse, raw, spec.ambiguous, None, true);
    }
    let Some(traits) = &column.traits else {
        let (expression, untold) = match (&column.data_type, spec.time_zone) {
            (DataType::Timestamp(unit, None), Some(zone)) => {
                let local = LocalTime::new(&column.name, *unit, zone, spec.ambiguous).masked(masked);
                let expression = ScalarUDF::from(local.clone()).call(vec![raw.clone()]);
                let untold = || ScalarUDF::from(UntoldTime::of_stored(local)).call(vec![expression.clone(), raw]);
                let untold = (spec.ambiguous != Ambiguous::Error).then(untold);
                (expression, untold)
            }
            _ => (raw, None),
        };
        return Reading { reader: Reader::Expression(expression), guessed: None, from_text: text_format, untold };
    };
    let counterpart = other.and_then(|side| {
        let found = side.columns.iter().find(|theirs| theirs.name == column.name)?;
        let said = side.spec.columns.iter().find(|(name, _)| *name == column.name).map(|(_, said)| said.data_type());
        Some((found, said))
    });
    let target = match counterpart {
        Some((_, Some(said))) => traits.adopt(&said, spec.time_zone.is_some()),
        Some((theirs, None)) => match &theirs.traits {
            None => traits.adopt(&theirs.data_type, spec.time_zone.is_some()),
            // Times on both sides: each is read as it is written, and the instants are compared.
            Some(their_traits) if traits.is_time() && their_traits.is_time() => traits.guess(column.quoted),
            // Two text columns: what holds for the values of both. A column without values says nothing.
            Some(their_traits) if their_traits.values > 0 && traits.values > 0 => {
                traits.and(their_traits).guess(column.quoted || theirs.quoted)
            }
            Some(their_traits) if traits.values == 0 => their_traits.guess(theirs.quoted),
            Some(_) => traits.guess(column.quoted),
        },
        None => traits.guess(column.quoted),
    };
    let target = with_zone(target);
    let shown = word(&target);
    if matches!(target, DataType::Utf8) {
        Reading { reader: Reader::Expression(raw), guessed: Some(shown), from_text: true, untold: None }
    } else if matches!(target, DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _)) {
        let expression = datafusion::prelude::cast(raw, target);
        Reading { reader: Reader::Expression(expression), guessed: Some(shown), from_text: true, untold: None }
    } else {
        let parse = ParseText::new(&column.name, &as_said(&target), None, spec.time_zone, spec.ambiguous).masked(masked);
        parsed(parse, raw, spec.ambiguous, Some(shown), true)
    }
}

/// A column that is parsed.
fn parsed(parse: ParseText, raw: Expr, ambiguous: Ambiguous, guessed: Option<String>, from_text: bool) -> Reading {
    let local = ambiguous != Ambiguous::Error && parse.reads_local_times();
    let untold = local.then(|| {
        let expression = ScalarUDF::from(parse.clone()).call(vec![raw.clone()]);
        ScalarUDF::from(UntoldTime::of_text(parse.clone())).call(vec![expression, raw])
    });
    Reading { reader: Reader::Parse(parse), guessed, from_text, untold }
}

fn time_format_for<'a>(said: &ColumnType, format: Option<&'a str>) -> Option<&'a str> {
    matches!(said.data_type(), DataType::Timestamp(_, _) | DataType::Date32).then_some(format).flatten()
}

/// What a chrono format yields: an instant with an offset or a zone, a naive time, or a date.
fn format_type(format: &str, zone: bool) -> DataType {
    use arrow::datatypes::TimeUnit::{Microsecond, Nanosecond};
    let unit = if format.contains("%9f") || format.contains("%.9f") || format.contains("%.f") { Nanosecond } else { Microsecond };
    let has_offset = ["%z", "%:z", "%#z", "%+", "%s"].iter().any(|part| format.contains(part));
    let has_clock = ["%H", "%I", "%T", "%R", "%s", "%c", "%X", "%r"].iter().any(|part| format.contains(part));
    match (has_offset || zone, has_clock) {
        (true, _) => DataType::Timestamp(unit, Some("UTC".into())),
        (false, true) => DataType::Timestamp(unit, None),
        (false, false) => DataType::Date32,
    }
}
