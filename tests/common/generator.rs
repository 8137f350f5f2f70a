//! A clean stream: every row a pure function of the seed, its series and its position.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::job::MINUTE_US;
use super::table::{Cell, Column, Kind, Real, Row};

pub(crate) const ID: usize = 0;
pub(crate) const CODE: usize = 1;
pub(crate) const DEVICE: usize = 2;
pub(crate) const TS: usize = 3;
pub(crate) const SEQ: usize = 4;
pub(crate) const PRICE: usize = 5;
pub(crate) const AMOUNT: usize = 6;
pub(crate) const OK: usize = 7;
pub(crate) const KIND: usize = 8;
pub(crate) const NOTE: usize = 9;
pub(crate) const QTY: usize = 10;

/// Columns that no continuity is judged by, so that a changed cell is a mismatch and nothing else.
pub(crate) const PAYLOAD: [usize; 6] = [PRICE, AMOUNT, OK, KIND, NOTE, QTY];

/// Names that tools have mistaken for something else.
const SERIES_NAMES: [&str; 6] = ["north", "a|b", "NULL", "søren", "5", "x "];
const KINDS: [&str; 4] = ["buy", "sell", "hold", "a|b"];
const NOTES: [&str; 16] =
    ["", "NULL", "<null>", "a|b", "a,b", "say \"hi\"", "line\nbreak", "é", "e\u{301}", "ß", "x", "x ", " ", "0", "日本", "null"];

/// What a clean stream looks like.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) seed: u64,
    pub(crate) series: usize,
    pub(crate) rows_per_series: usize,
    pub(crate) start_us: i64,
    pub(crate) cadence_us: i64,
    /// Each row up to a fifth of a cadence late: still no silence.
    pub(crate) jitter: bool,
    /// NaN, infinities and −0.0 among the prices: for formats that can say them.
    pub(crate) special_floats: bool,
    /// The empty text beside NULL: for formats that tell them apart.
    pub(crate) empty_text: bool,
    /// Ids and sequences beyond 2^53.
    pub(crate) wide_integers: bool,
}

impl Shape {
    pub(crate) fn new(seed: u64, series: usize, rows_per_series: usize) -> Self {
        Self {
            seed,
            series,
            rows_per_series,
            start_us: 1_709_251_200 * 1_000_000, // 2024-03-01T00:00:00Z
            cadence_us: MINUTE_US,
            jitter: true,
            special_floats: true,
            empty_text: true,
            wide_integers: true,
        }
    }

    /// The half-open range that the clean stream covers whole, in every series.
    pub(crate) fn bounds_us(&self) -> (i64, i64) {
        (self.start_us, self.start_us + self.rows_per_series as i64 * self.cadence_us)
    }

    pub(crate) fn columns() -> Vec<Column> {
        [
            ("id", Kind::Int64),
            ("code", Kind::Text),
            ("device", Kind::Text),
            ("ts", Kind::Time),
            ("seq", Kind::Int64),
            ("price", Kind::Float64),
            ("amount", Kind::Decimal),
            ("ok", Kind::Bool),
            ("kind", Kind::Dictionary),
            ("note", Kind::Text),
            ("qty", Kind::Int32),
        ]
        .into_iter()
        .map(|(name, kind)| Column { name, kind })
        .collect()
    }

    /// Row `i` of series `s`, in the order of [`Shape::columns`].
    pub(crate) fn row(&self, s: usize, i: usize) -> Row {
        let mut rng = self.rng(s as u64 * 1_000_003 + i as u64);
        let wide: i64 = if self.wide_integers { 1 << 53 } else { 0 };
        let number = (i * self.series + s) as i64;
        let late = if self.jitter { rng.random_range(0..self.cadence_us / 5) } else { 0 };
        let offset = if self.jitter { self.cadence_us * s as i64 % (self.cadence_us / 2) } else { 0 };
        let device = SERIES_NAMES.get(s).map_or_else(|| format!("d{s}"), |name| (*name).to_owned());
        vec![
            Cell::Int(wide + 1_000 + 3 * number),
            Cell::Text(format!("K{number:06}-{}", ["a|b", "é", "x ", "NULL"][rng.random_range(0..4)])),
            Cell::Text(device),
            Cell::Time(self.start_us + i as i64 * self.cadence_us + offset + late),
            Cell::Int(wide + 10_000 * s as i64 + i as i64),
            self.price(&mut rng),
            if rng.random_bool(0.02) { Cell::Null } else { Cell::Decimal(rng.random_range(-99_999..9_999_999)) },
            [Cell::Null, Cell::Bool(true), Cell::Bool(false)][rng.random_range(0..3)].clone(),
            Cell::text(KINDS[rng.random_range(0..KINDS.len())]),
            self.note(&mut rng),
            if rng.random_bool(0.05) { Cell::Null } else { Cell::Int(rng.random_range(-1_000_000..1_000_000)) },
        ]
    }

    /// A value for `column` that differs from `old`, by as little as the type allows or by a lot.
    pub(crate) fn other_value(&self, rng: &mut StdRng, column: usize, old: &Cell) -> Cell {
        loop {
            let new = match (column, old) {
                (PRICE, Cell::Float(Real(value))) if value.is_finite() && rng.random_bool(0.5) => Cell::Float(Real(value.next_up())),
                (PRICE, _) => self.price(rng),
                (AMOUNT, Cell::Decimal(cents)) if rng.random_bool(0.5) => Cell::Decimal(cents + 1),
                (AMOUNT, _) => Cell::Decimal(rng.random_range(-99_999..9_999_999)),
                (OK, _) => [Cell::Null, Cell::Bool(true), Cell::Bool(false)][rng.random_range(0..3)].clone(),
                (KIND, _) => Cell::text(KINDS[rng.random_range(0..KINDS.len())]),
                (NOTE, Cell::Text(text)) if rng.random_bool(0.3) => Cell::Text(format!("{text} ")),
                (NOTE, _) => self.note(rng),
                (QTY, Cell::Int(value)) if rng.random_bool(0.5) => Cell::Int(value + 1),
                (QTY, _) => Cell::Int(rng.random_range(-1_000_000..1_000_000)),
                (column, _) => panic!("column {column} has no other value"),
            };
            let new = if column != KIND && rng.random_bool(0.15) { Cell::Null } else { new };
            if new != *old {
                return new;
            }
        }
    }

    pub(crate) fn rng(&self, salt: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ salt.wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    fn price(&self, rng: &mut StdRng) -> Cell {
        let special = self.special_floats && rng.random_bool(0.06);
        match rng.random_range(0..5) {
            0 if special => Cell::Float(Real(f64::NAN)),
            1 if special => Cell::Float(Real(f64::INFINITY)),
            2 if special => Cell::Float(Real(0.0)),
            3 if special => Cell::Null,
            _ => Cell::Float(Real(f64::from(rng.random_range(-100_000_i32..100_000)) / 16.0 + 0.1)),
        }
    }

    fn note(&self, rng: &mut StdRng) -> Cell {
        if rng.random_bool(0.2) {
            return Cell::Null;
        }
        let note = NOTES[rng.random_range(0..NOTES.len())];
        if note.is_empty() && !self.empty_text { Cell::Null } else { Cell::text(note) }
    }
}
