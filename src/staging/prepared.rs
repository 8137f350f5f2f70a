//! A stream made ready: its columns paired, its roles found, its assumptions said.

use arrow::datatypes::DataType;

use super::pairing::{Conversion, Pairing, SchemaFact, SchemaFactKind, comparable, note};
use super::show::type_word;
use crate::domain::{Side, Tolerance};
use crate::error::{Error, Result, nearest};
use crate::job::{Stream, TextRule};
use crate::source::Opened;

/// A column that both sides have (or the one side there is), in the type in which it is compared.
#[derive(Debug, Clone)]
pub struct PairedColumn {
    /// Its name.
    pub name: String,
    /// The common type.
    pub common: DataType,
    /// How each side gets there, original first.
    pub conversions: [Conversion; 2],
    /// False for a column that only serves as time, series or sequence.
    pub compared: bool,
    /// How far values may lie apart.
    pub tolerance: Option<Tolerance>,
    /// What is done to text first.
    pub text: Vec<TextRule>,
}

impl PairedColumn {
    /// True when values that differ as stored can be equal in the common type.
    pub fn is_lossy(&self) -> bool {
        !self.text.is_empty()
            || self.conversions.iter().any(|c| matches!(c, Conversion::Floor { .. } | Conversion::NearestDouble | Conversion::Encoding))
    }
}

/// A stream made ready for the passes. Columns are named by their place in `paired`.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The job's words, with what was inferred filled in.
    pub stream: Stream,
    /// The sides, original first.
    pub sides: Vec<Opened>,
    /// Compared columns and roles, in the original's order.
    pub paired: Vec<PairedColumn>,
    /// Places of the key columns; `None` when rows are not matched by a key.
    pub key: Option<Vec<usize>>,
    /// Place of the event time.
    pub time: Option<usize>,
    /// Places of the series columns.
    pub series: Vec<usize>,
    /// Place of the sequence.
    pub sequence: Option<usize>,
    /// Place of the last number of a row, where a row stands for a range.
    pub sequence_last: Option<usize>,
    /// Place of the payload's own sequence.
    pub payload: Option<usize>,
    /// Place of the second clock.
    pub ingest: Option<usize>,
    /// What the schema checks read.
    pub schema_facts: Vec<SchemaFact>,
}

impl Prepared {
    /// Places of the compared columns.
    pub fn compared(&self) -> Vec<usize> {
        (0..self.paired.len()).filter(|&place| self.paired[place].compared).collect()
    }

    /// Places of the columns that identify a row: the key, or without one every compared column.
    pub fn identity(&self) -> Vec<usize> {
        self.key.clone().unwrap_or_else(|| self.compared())
    }

    /// Places of the columns that the first pass looks at beyond the compared ones.
    pub fn roles(&self) -> Vec<usize> {
        let numbers = self.sequence.iter().chain(&self.sequence_last);
        self.time.iter().chain(&self.series).chain(numbers).chain(&self.ingest).copied().collect()
    }

    /// A side that the stream has.
    pub fn side(&self, side: Side) -> Option<&Opened> {
        self.sides.iter().find(|opened| opened.side == side)
    }
}

/// Pairs the columns of the sides and finds the roles.
///
/// # Errors
/// A column that was named is not there, or has a type that its role cannot have.
pub fn prepare(stream: Stream, sides: Vec<Opened>) -> Result<Prepared> {
    for (what, columns) in
        [("columns", stream.columns.clone().unwrap_or_default()), ("ignore", stream.ignore.clone()), ("mask", stream.mask.clone())]
    {
        for column in &columns {
            // These may speak of a column that one side alone has: that is a schema matter.
            if sides.iter().all(|side| side.schema.field_with_name(column).is_err()) {
                return Err(missing(&format!("--{what}"), column, &sides[0]));
            }
        }
    }
    let mut roles: Vec<(&str, &String)> = Vec::new();
    roles.extend(stream.key.iter().flatten().map(|column| ("key", column)));
    roles.extend(stream.time.iter().map(|column| ("time", column)));
    roles.extend(stream.series.iter().map(|column| ("series", column)));
    roles.extend(stream.sequence.iter().chain(&stream.sequence_last).map(|column| ("sequence", column)));
    roles.extend(stream.payload_sequence.iter().map(|column| ("payload-sequence", column)));
    roles.extend(stream.continuity.ingest_time.iter().map(|column| ("ingest-time", column)));
    roles.extend(stream.tolerance.keys().map(|column| ("tolerance", column)));
    roles.extend(stream.text.keys().map(|column| ("text", column)));
    for (what, column) in &roles {
        for side in &sides {
            if side.schema.field_with_name(column).is_err() {
                return Err(missing(&format!("--{what}"), column, side));
            }
        }
    }
    let is_role = |name: &str| {
        stream.time.as_deref() == Some(name)
            || [&stream.sequence, &stream.sequence_last, &stream.payload_sequence, &stream.continuity.ingest_time]
                .iter()
                .any(|role| role.as_deref() == Some(name))
            || stream.series.iter().any(|column| column == name)
    };
    let is_key = |name: &str| stream.key.iter().flatten().any(|column| column == name);
    let listed = |name: &str| stream.columns.as_ref().is_none_or(|columns| columns.iter().any(|column| column == name));
    // When a row arrived differs between live and backfill by its nature: compared only where that is asked.
    let is_ingest = |name: &str| stream.continuity.ingest_time.as_deref() == Some(name) && stream.columns.is_none();
    let wanted = |name: &str| is_key(name) || listed(name) && !is_ingest(name) && !stream.ignore.iter().any(|column| column == name);

    let original = &sides[0];
    let backfill = sides.get(1);
    let mut paired = Vec::new();
    let mut schema_facts = Vec::new();
    for field in original.schema.fields() {
        let name = field.name();
        let compared = wanted(name);
        if !compared && !is_role(name) {
            continue;
        }
        let mine = field.data_type();
        let Some(other) = backfill else {
            if let Some(pairing) = comparable(mine, mine) {
                paired.push(column(name, pairing, compared, &stream));
            } else {
                return Err(unusable(name, original, mine));
            }
            continue;
        };
        let Ok(theirs) = other.schema.field_with_name(name).map(|field| field.data_type()) else {
            schema_facts.push(SchemaFact {
                kind: SchemaFactKind::Missing,
                column: name.clone(),
                original_type: Some(mine.to_string()),
                backfill_type: None,
                note: String::new(),
                lossy: None,
            });
            continue;
        };
        let fact = |kind, note| SchemaFact {
            kind,
            column: name.clone(),
            original_type: Some(mine.to_string()),
            backfill_type: Some(theirs.to_string()),
            note,
            lossy: None,
        };
        match comparable(mine, theirs) {
            None => {
                if is_key(name) || is_role(name) {
                    return Err(Error::ColumnType {
                        what: "the comparison".to_string(),
                        column: name.clone(),
                        side: other.side.to_string(),
                        data_type: type_word(theirs),
                        problem: format!(
                            "it serves as key, time, series or sequence, and cannot be compared with {} on the original",
                            type_word(mine)
                        ),
                        help: format!(
                            "say its type with `--backfill-opt columns={name}:…` or `--original-opt columns={name}:…`, and for times a time_format"
                        ),
                    });
                }
                schema_facts.push(fact(SchemaFactKind::Mismatch, String::new()));
            }
            Some(pairing) => {
                let from_text = original.from_text.contains(name) || other.from_text.contains(name);
                let lossy = match &pairing.conversions {
                    [Conversion::Floor { .. }, _] => Some(Side::Original),
                    [_, Conversion::Floor { .. }] => Some(Side::Backfill),
                    _ => None,
                };
                let one_naive = matches!(
                    (mine, theirs),
                    (DataType::Timestamp(_, None), DataType::Timestamp(_, Some(_)))
                        | (DataType::Timestamp(_, Some(_)), DataType::Timestamp(_, None))
                );
                // A text format takes the typed side's type, which converts nothing; losing digits does, and so does
                // taking a time without a zone for one in UTC.
                if let Some(note) = note(&pairing, mine, theirs)
                    && (!from_text || lossy.is_some() || one_naive)
                {
                    schema_facts.push(SchemaFact { lossy, ..fact(SchemaFactKind::Converted, note) });
                }
                paired.push(column(name, pairing, compared, &stream));
            }
        }
    }
    if let Some(other) = backfill {
        for field in other.schema.fields() {
            let name = field.name();
            if wanted(name) && original.schema.field_with_name(name).is_err() {
                schema_facts.push(SchemaFact {
                    kind: SchemaFactKind::Unexpected,
                    column: name.clone(),
                    original_type: None,
                    backfill_type: Some(field.data_type().to_string()),
                    note: String::new(),
                    lossy: None,
                });
            }
        }
    }
    let place = |name: &String| paired.iter().position(|column: &PairedColumn| column.name == *name);
    let places = |names: &[String]| names.iter().filter_map(place).collect::<Vec<_>>();
    let key = stream.key.as_ref().map(|columns| places(columns));
    let time = stream.time.as_ref().and_then(place);
    let series = places(&stream.series);
    let sequence = stream.sequence.as_ref().and_then(place);
    let sequence_last = stream.sequence_last.as_ref().and_then(place);
    let payload = stream.payload_sequence.as_ref().and_then(place);
    let ingest = stream.continuity.ingest_time.as_ref().and_then(place);
    let prepared = Prepared { stream, sides, paired, key, time, series, sequence, sequence_last, payload, ingest, schema_facts };
    check_roles(&prepared)?;
    Ok(prepared)
}

fn column(name: &str, pairing: Pairing, compared: bool, stream: &Stream) -> PairedColumn {
    PairedColumn {
        name: name.to_string(),
        common: pairing.common,
        conversions: pairing.conversions,
        compared,
        tolerance: stream.tolerance.get(name).copied(),
        text: stream.text.get(name).cloned().unwrap_or_default(),
    }
}

fn missing(what: &str, column: &str, side: &Opened) -> Error {
    Error::ColumnMissing {
        what: what.to_string(),
        column: column.to_string(),
        side: side.side.to_string(),
        nearest: nearest(column, side.schema.fields().iter().map(|field| field.name())),
    }
}

fn unusable(name: &str, side: &Opened, data_type: &DataType) -> Error {
    Error::ColumnType {
        what: "the checks".to_string(),
        column: name.to_string(),
        side: side.side.to_string(),
        data_type: type_word(data_type),
        problem: "values of this type have no canonical form".to_string(),
        help: format!("leave it out with `--ignore {name}`"),
    }
}

/// Types that a role cannot have.
fn check_roles(prepared: &Prepared) -> Result<()> {
    let own_type = |place: usize, side: &Opened| {
        let name = &prepared.paired[place].name;
        side.schema.field_with_name(name).map(|field| field.data_type().clone()).unwrap_or(DataType::Null)
    };
    let wrong = |what: &str, place: usize, side: &Opened, problem: &str, help: String| Error::ColumnType {
        what: what.to_string(),
        column: prepared.paired[place].name.clone(),
        side: side.side.to_string(),
        data_type: type_word(&own_type(place, side)),
        problem: problem.to_string(),
        help,
    };
    for side in &prepared.sides {
        if let Some(place) = prepared.time {
            let name = &prepared.paired[place].name;
            match own_type(place, side) {
                DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 | DataType::Null => {}
                _ if side.mixed_times.contains(name) => {
                    return Err(wrong(
                        "--time",
                        place,
                        side,
                        "some of its values have an offset or a clock and some have none",
                        "write all of them in one way, or say what they mean with the options time_format and time_zone".to_string(),
                    ));
                }
                data_type if data_type.is_string() => {
                    return Err(wrong(
                        "--time",
                        place,
                        side,
                        "it is text, not a time",
                        format!(
                            "say how it is written, for instance `--{}-opt time_format='%d/%m/%Y %H:%M'`; ISO 8601 is recognised in CSV and JSON by itself",
                            side.side
                        ),
                    ));
                }
                data_type if data_type.is_integer() => {
                    return Err(wrong(
                        "--time",
                        place,
                        side,
                        "it is a number, not a time",
                        format!("say its unit with `--{}-opt columns={name}:epoch_ms` (or epoch_s, epoch_us, epoch_ns)", side.side),
                    ));
                }
                _ => return Err(wrong("--time", place, side, "an event time is a timestamp or a date", "name another column".to_string())),
            }
        }
        let numbers = [(prepared.sequence, "--sequence"), (prepared.sequence_last, "--sequence"), (prepared.payload, "--payload-sequence")];
        for (place, what) in numbers.into_iter().filter_map(|(place, what)| place.map(|place| (place, what))) {
            let data_type = own_type(place, side);
            let whole = data_type.is_integer()
                || matches!(data_type, DataType::Decimal128(_, 0) | DataType::Decimal64(_, 0) | DataType::Decimal32(_, 0) | DataType::Null);
            if !whole {
                return Err(wrong(
                    what,
                    place,
                    side,
                    "a sequence is a whole number",
                    "name an integer column; a text column takes `--opt columns=NAME:int64`".to_string(),
                ));
            }
        }
        if let Some(place) = prepared.ingest
            && !matches!(own_type(place, side), DataType::Timestamp(_, _) | DataType::Null)
        {
            let name = &prepared.paired[place].name;
            let help = format!("say how it is written with `--{}-opt columns={name}:timestamp` (or epoch_s, epoch_ms, …)", side.side);
            return Err(wrong("--ingest-time", place, side, "an ingest time is a timestamp", help));
        }
        for &place in prepared.key.iter().flatten().chain(&prepared.series) {
            let data_type = own_type(place, side);
            if data_type.is_floating() || data_type.is_nested() {
                let what = if prepared.key.iter().flatten().any(|&key| key == place) { "--key" } else { "--series" };
                return Err(wrong(
                    what,
                    place,
                    side,
                    if data_type.is_nested() {
                        "a nested value cannot identify a row"
                    } else {
                        "a float cannot identify a row: two that look alike may differ"
                    },
                    format!(
                        "name other columns; in a text format say `--{}-opt columns={}:text` or decimal(p,s)",
                        side.side, prepared.paired[place].name
                    ),
                ));
            }
        }
    }
    for (name, tolerance) in &prepared.stream.tolerance {
        let Some(column) = prepared.paired.iter().find(|column| column.name == *name) else { continue };
        let fits = match tolerance {
            Tolerance::Number { .. } => {
                column.common.is_numeric() || matches!(column.conversions, [Conversion::ExactText, Conversion::ExactText])
            }
            Tolerance::Time { .. } => {
                matches!(column.common, DataType::Timestamp(_, _) | DataType::Date32 | DataType::Time64(_) | DataType::Duration(_))
            }
        };
        if !fits {
            let (problem, help) = match tolerance {
                Tolerance::Number { .. } => (
                    "a tolerance in numbers needs a numeric column",
                    "use a duration such as 1ms for times; text takes --text NAME=trim,fold",
                ),
                Tolerance::Time { .. } => (
                    "a tolerance in time needs a column of times",
                    "use abs:0.01 or rel:1e-9 for numbers; text takes --text NAME=trim,fold",
                ),
            };
            return Err(Error::ColumnType {
                what: format!("--tolerance {name}"),
                column: name.clone(),
                side: "original".to_string(),
                data_type: type_word(&column.common),
                problem: problem.to_string(),
                help: help.to_string(),
            });
        }
    }
    for name in prepared.stream.text.keys() {
        if let Some(column) = prepared.paired.iter().find(|column| column.name == *name)
            && column.common != DataType::Utf8
        {
            return Err(Error::ColumnType {
                what: format!("--text {name}"),
                column: name.clone(),
                side: "original".to_string(),
                data_type: type_word(&column.common),
                problem: "trim, fold and nfc are for text".to_string(),
                help: "leave it out, or use --tolerance for numbers and times".to_string(),
            });
        }
    }
    Ok(())
}
