//! Whether one transformation explains how the values of a column differ.
//!
//! The pairs of values are those of the findings. A transformation is named where it explains at least 19 of 20 of them and at
//! least three; how many it explains is always said. The simplest comes first: what was overwritten by one value is not also a factor.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::Content;
use super::shift::find;
use super::words::{counted, grouped, length, shift};
use crate::domain::Instant;
use arrow::datatypes::DataType;
use chrono_tz::Tz;

/// Pairs that a transformation rests on at least.
const FEWEST_PAIRS: usize = 3;

/// A pair of values, original first; `None` is NULL.
pub(super) type Pair<'a> = (Option<&'a str>, Option<&'a str>);

/// A transformation, and how many of the pairs it explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Explained {
    /// The public word; `unknown` where none explains enough.
    pub(super) word: &'static str,
    /// What people read: `multiplied by 100`.
    pub(super) what: String,
    pub(super) rows: u64,
}

/// Values of a column by what can be done to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Exact,
    Float,
    Time,
    Text,
    Other,
}

impl Class {
    pub(super) fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => Self::Time,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Decimal128(_, _) | DataType::Decimal256(_, _) => Self::Exact,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float,
            other if other.is_integer() => Self::Exact,
            _ => Self::Other,
        }
    }
}

/// A number as it is written: coefficient and how many of its digits are a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number {
    coefficient: i128,
    scale: u32,
}

impl Number {
    /// Without trailing zeros in the fraction.
    fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut coefficient: i128 = format!("{whole}{fraction}").parse().ok()?;
        let mut scale = i32::try_from(fraction.len()).ok()? - exponent;
        while scale > 0 && coefficient % 10 == 0 {
            coefficient /= 10;
            scale -= 1;
        }
        while scale < 0 {
            coefficient = coefficient.checked_mul(10)?;
            scale += 1;
        }
        Some(Self { coefficient, scale: u32::try_from(scale).ok()? })
    }

    fn at_scale(self, scale: u32) -> Option<i128> {
        self.coefficient.checked_mul(10_i128.checked_pow(scale.checked_sub(self.scale)?)?)
    }

    /// True when the other has so many digits behind the point and is what this one rounds to: of two that are equally near, either.
    fn rounds_to(self, other: Self, digits: i32) -> bool {
        let Some(away) = self.to_digits(digits, false) else { return false };
        if away == other {
            return true;
        }
        // Half to even ends where cutting does, or where half away from zero does.
        let half = i32::try_from(self.scale).is_ok_and(|scale| {
            let unit = u32::try_from(scale - digits).ok().and_then(|drop| 10_i128.checked_pow(drop));
            unit.is_some_and(|unit| (self.coefficient % unit).abs() * 2 == unit)
        });
        half && self.to_digits(digits, true) == Some(other)
    }

    /// The place of its first digit: 0 for units, −1 for tenths, 1 for tens.
    fn magnitude(self) -> i32 {
        let digits = self.coefficient.unsigned_abs().checked_ilog10().map_or(0, |log| log as i32);
        digits - i32::try_from(self.scale).unwrap_or(0)
    }

    /// With so many digits behind the point (fewer than none: zeros before it), rounded half away from zero, or cut.
    fn to_digits(self, digits: i32, cut: bool) -> Option<Self> {
        let drop = i32::try_from(self.scale).ok()? - digits;
        if drop <= 0 {
            return Some(self);
        }
        let unit = 10_i128.checked_pow(u32::try_from(drop).ok()?)?;
        let mut kept = self.coefficient / unit;
        if !cut && (self.coefficient % unit).abs() * 2 >= unit {
            kept += self.coefficient.signum();
        }
        let shown = match u32::try_from(digits) {
            Ok(scale) => Self { coefficient: kept, scale },
            Err(_) => Self { coefficient: kept.checked_mul(10_i128.checked_pow(digits.unsigned_abs())?)?, scale: 0 },
        };
        Some(shown.plain())
    }

    fn plain(mut self) -> Self {
        while self.scale > 0 && self.coefficient % 10 == 0 {
            self.coefficient /= 10;
            self.scale -= 1;
        }
        self
    }

    fn text(self) -> String {
        let digits = self.coefficient.unsigned_abs().to_string();
        let sign = if self.coefficient < 0 { "−" } else { "" };
        let scale = self.scale as usize;
        if scale == 0 {
            return format!("{sign}{digits}");
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        format!("{sign}{whole}.{fraction}")
    }
}

/// The transformation that explains the pairs of a column best, if it explains enough of them.
pub(super) fn explain(class: Class, pairs: &[Pair<'_>], zones: &[Tz]) -> Explained {
    if pairs.len() < FEWEST_PAIRS {
        let what = format!("differs in {}, too few to tell how", counted(pairs.len() as u64, "row"));
        return Explained { word: "unknown", what, rows: 0 };
    }
    let mut candidates = constants(pairs);
    let both: Vec<(&str, &str)> = pairs.iter().filter_map(|(a, b)| Some((*a.as_ref()?, *b.as_ref()?))).collect();
    match class {
        Class::Exact | Class::Float => candidates.extend(numbers(&both, class == Class::Float)),
        Class::Time => candidates.extend(times(&both, zones)),
        Class::Text => candidates.extend(texts(&both)),
        Class::Other => {}
    }
    let mut best: Option<Explained> = None;
    for candidate in candidates {
        // The earlier of two that explain alike is the simpler.
        if best.as_ref().is_none_or(|best| candidate.rows > best.rows) {
            best = Some(candidate);
        }
    }
    let enough = |rows: u64| rows >= FEWEST_PAIRS as u64 && rows * 20 >= pairs.len() as u64 * 19;
    match best {
        Some(best) if enough(best.rows) => best,
        Some(best) if best.rows * 2 >= pairs.len() as u64 => Explained {
            word: "unknown",
            what: format!("no one transformation explains them; '{}' comes nearest, with {}", best.what, grouped(best.rows)),
            rows: best.rows,
        },
        _ => Explained { word: "unknown", what: "no one transformation explains them".to_string(), rows: 0 },
    }
}

fn shown(value: Option<&str>) -> String {
    value.map_or("NULL".to_string(), |text| format!("'{}'", text.chars().take(40).collect::<String>()))
}

/// One value instead of many, or instead of one.
fn constants(pairs: &[Pair<'_>]) -> Vec<Explained> {
    let mut found = Vec::new();
    let mut by_both: BTreeMap<Pair<'_>, u64> = BTreeMap::new();
    let mut by_backfill: BTreeMap<Option<&str>, (u64, BTreeSet<Option<&str>>)> = BTreeMap::new();
    for pair in pairs {
        *by_both.entry(*pair).or_default() += 1;
        let entry = by_backfill.entry(pair.1).or_default();
        entry.0 += 1;
        if entry.1.len() < 3 {
            entry.1.insert(pair.0);
        }
    }
    if let Some(((from, to), rows)) = by_both.into_iter().max_by_key(|(pair, rows)| (*rows, std::cmp::Reverse(*pair))) {
        found.push(Explained { word: "replaced", what: format!("{} became {}", shown(from), shown(to)), rows });
    }
    if let Some((value, (rows, originals))) = by_backfill.into_iter().max_by_key(|(value, (rows, _))| (*rows, std::cmp::Reverse(*value)))
        && originals.len() > 1
    {
        let (word, what) = match value {
            None => ("nulled", "overwritten by NULL".to_string()),
            some => ("overwritten", format!("overwritten by {}", shown(some))),
        };
        found.push(Explained { word, what, rows });
    }
    found
}

fn numbers(pairs: &[(&str, &str)], float: bool) -> Vec<Explained> {
    let mut found = Vec::new();
    let parsed: Vec<(Number, Number)> = pairs.iter().filter_map(|(a, b)| Some((Number::parse(a)?, Number::parse(b)?))).collect();
    // Fewest digits first, and of one number of digits rounding before cutting: each explains what the other does, and more.
    for digits in (-6..=9).rev() {
        for cut in [false, true] {
            let holds = |a: Number, b: Number| if cut { a.to_digits(digits, true) == Some(b) } else { a.rounds_to(b, digits) };
            let rows = parsed.iter().filter(|(a, b)| a != b && holds(*a, *b)).count() as u64;
            let way = if cut { "cut" } else { "rounded" };
            let what = match digits {
                0 => format!("{way} to whole numbers"),
                1.. => format!("{way} to {}", counted(digits.unsigned_abs().into(), "digit")),
                _ => format!("{way} to multiples of {}", 10_u64.pow(digits.unsigned_abs())),
            };
            found.push(Explained { word: if cut { "cut" } else { "rounded" }, what, rows });
        }
    }
    for digits in (1..=15).rev() {
        for cut in [false, true] {
            let holds = |a: Number, b: Number| {
                let behind = digits - 1 - a.magnitude();
                if cut { a.to_digits(behind, true) == Some(b) } else { a.rounds_to(b, behind) }
            };
            let rows = parsed.iter().filter(|(a, b)| a != b && holds(*a, *b)).count() as u64;
            let (word, digits) = (if cut { "cut" } else { "rounded" }, counted(digits.unsigned_abs().into(), "significant digit"));
            found.push(Explained { word, what: format!("{word} to {digits}"), rows });
        }
    }
    let doubles: Vec<(f64, f64)> = pairs.iter().filter_map(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?))).collect();
    if float {
        let rows = doubles.iter().filter(|(a, b)| a != b && f64::from(*a as f32) == *b).count() as u64;
        found.push(Explained { word: "narrowed", what: "narrowed to 32 bits".to_string(), rows });
    }
    // An offset is exact where numbers are.
    let mut offsets: BTreeMap<(u32, i128), u64> = BTreeMap::new();
    for (a, b) in &parsed {
        let scale = a.scale.max(b.scale);
        if let Some(distance) = b.at_scale(scale).zip(a.at_scale(scale)).and_then(|(b, a)| b.checked_sub(a)) {
            let plain = Number { coefficient: distance, scale }.plain();
            *offsets.entry((plain.scale, plain.coefficient)).or_default() += 1;
        }
    }
    if let Some(((scale, coefficient), rows)) = offsets.into_iter().max_by_key(|(offset, rows)| (*rows, std::cmp::Reverse(*offset))) {
        let sign = if coefficient < 0 { "" } else { "+" };
        let rows = match float {
            false => rows,
            // Sums of doubles round: near enough is a billionth of the larger.
            true => {
                let by = coefficient as f64 / 10_f64.powi(scale as i32);
                let near = |a: f64, b: f64| {
                    let enough = 1e-9 * a.abs().max(b.abs()).max(by.abs());
                    // An offset that is lost in the tolerance says nothing.
                    (b - a - by).abs() <= enough && by.abs() > enough
                };
                doubles.iter().filter(|(a, b)| near(*a, *b)).count() as u64
            }
        };
        let number = Number { coefficient, scale };
        found.push(Explained { word: "offset", what: format!("{sign}{} added", number.text()), rows });
    }
    let mut ratios: Vec<f64> = doubles.iter().filter(|(a, _)| *a != 0.0).map(|(a, b)| b / a).filter(|ratio| ratio.is_finite()).collect();
    ratios.sort_by(f64::total_cmp);
    if let Some(raw) = ratios.get(ratios.len() / 2).copied()
        && raw != 0.0
    {
        // The ratio of rounded numbers is near the factor, and people choose round factors.
        for factor in [round_factor(raw), raw] {
            let last = parsed.iter().map(|(_, b)| b.scale).max().unwrap_or(0);
            let half_a_digit = if float { 0.0 } else { 0.5 * 10_f64.powi(-(last as i32)) };
            let near = |a: f64, b: f64| {
                let enough = 1e-9 * b.abs() + half_a_digit * 1.000_001;
                // A factor whose work is lost in the tolerance says nothing.
                (b - a * factor).abs() <= enough && (a * factor - a).abs() > enough
            };
            let rows = doubles.iter().filter(|(a, b)| near(*a, *b)).count() as u64;
            let inverse = (1.0 / factor).round();
            let what = if factor == -1.0 {
                "turned in sign".to_string()
            } else if factor.abs() < 1.0 && (factor * inverse - 1.0).abs() < 1e-12 {
                format!("divided by {inverse}")
            } else {
                format!("multiplied by {factor}")
            };
            found.push(Explained { word: "factor", what, rows });
        }
    }
    found
}

/// A ratio with six digits, or the inverse of a whole number.
fn round_factor(ratio: f64) -> f64 {
    let inverse = 1.0 / ratio;
    if ratio.abs() < 1.0 && (inverse - inverse.round()).abs() < 1e-3 * inverse.abs() {
        return 1.0 / inverse.round();
    }
    let digits = format!("{ratio:.3e}").parse::<f64>().unwrap_or(ratio);
    if (digits - ratio).abs() < 1e-3 * ratio.abs() { digits } else { ratio }
}

fn times(pairs: &[(&str, &str)], zones: &[Tz]) -> Vec<Explained> {
    let parsed: Vec<(i128, i128)> =
        pairs.iter().filter_map(|(a, b)| Some((Instant::parse(a).ok()?.0, Instant::parse(b).ok()?.0))).collect();
    let mut found = Vec::new();
    let units = [86_400_000_000_000, 3_600_000_000_000, 60_000_000_000, 1_000_000_000, 1_000_000, 1_000];
    for unit in units {
        let rows = parsed.iter().filter(|(a, b)| a != b && a.div_euclid(unit) * unit == *b).count() as u64;
        found.push(Explained { word: "cut", what: format!("cut to whole {}", length(unit).replace("1 ", "")), rows });
    }
    let of = |side: fn(&(i128, i128)) -> i128| -> Vec<Content> {
        let rows = parsed.iter().enumerate();
        rows.map(|(at, pair)| Content { group: at as u128, time: side(pair), series: None, wrong: 1 }).collect()
    };
    if let Some(moved) = find(&of(|pair| pair.0), &of(|pair| pair.1), zones) {
        let zone = moved.evidence.split_once("as if ").map(|(_, rest)| rest.split(';').next().unwrap_or(rest).to_string());
        let what = zone.map_or(format!("moved by {}", moved.name), |zone| format!("moved by {}, as if {zone}", moved.name));
        found.push(Explained { word: "moved", what, rows: moved.pairs.len() as u64 });
    }
    let mut offsets: BTreeMap<i128, u64> = BTreeMap::new();
    parsed.iter().for_each(|(a, b)| *offsets.entry(b - a).or_default() += 1);
    if let Some((by, rows)) = offsets.into_iter().max_by_key(|(by, rows)| (*rows, std::cmp::Reverse(*by))) {
        found.push(Explained { word: "moved", what: format!("moved by {}", shift(by)), rows });
    }
    found
}

fn texts(pairs: &[(&str, &str)]) -> Vec<Explained> {
    let count = |holds: &dyn Fn(&str, &str) -> bool| pairs.iter().filter(|(a, b)| a != b && holds(a, b)).count() as u64;
    let longest = pairs.iter().map(|(_, b)| b.chars().count()).max().unwrap_or(0);
    let mut found: Vec<Explained> = [
        ("case", "turned to lower case", count(&|a, b| a.to_lowercase() == b)),
        ("case", "turned to upper case", count(&|a, b| a.to_uppercase() == b)),
        ("case", "changed in case", count(&|a, b| a.to_lowercase() == b.to_lowercase())),
        ("trim", "trimmed of white space", count(&|a, b| a.trim() == b)),
        ("trim", "padded with white space", count(&|a, b| a == b.trim())),
        ("encoding", "UTF-8 read as Latin-1", count(&|a, b| a.bytes().map(char::from).collect::<String>() == b)),
        ("encoding", "damaged by another encoding", count(&|a, b| !a.contains('\u{fffd}') && b.contains('\u{fffd}'))),
    ]
    .into_iter()
    .map(|(word, what, rows)| Explained { word, what: what.to_string(), rows })
    .collect();
    let cut = count(&|a, b| b.chars().count() == longest && a.starts_with(b));
    found.push(Explained { word: "cut", what: format!("cut to {}", counted(longest as u64, "character")), rows: cut });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(class: Class, pairs: &[(&str, &str)]) -> (&'static str, String) {
        let pairs: Vec<Pair<'_>> = pairs.iter().map(|(a, b)| (Some(*a), Some(*b))).collect();
        let found = explain(class, &pairs, &[]);
        (found.word, found.what)
    }

    #[test]
    fn each_transformation_is_named() {
        type Case<'a> = (Class, &'a [(&'a str, &'a str)], &'a str, &'a str);
        let cases: [Case<'_>; 22] = [
            (Class::Exact, &[("1", "101"), ("5", "105"), ("-7", "93")], "offset", "+100 added"),
            (Class::Exact, &[("1.50", "1.25"), ("5.00", "4.75"), ("7.25", "7.00")], "offset", "−0.25 added"),
            (Class::Float, &[("0.1", "0.30000000000000004"), ("0.5", "0.7"), ("1.0", "1.2")], "offset", "+0.2 added"),
            (Class::Exact, &[("19", "1900"), ("3", "300"), ("-4", "-400")], "factor", "multiplied by 100"),
            (Class::Float, &[("19.0", "0.019"), ("3.5", "0.0035"), ("-4.0", "-0.004")], "factor", "divided by 1000"),
            (Class::Float, &[("1.5", "-1.5"), ("2.0", "-2.0"), ("-8.25", "8.25")], "factor", "turned in sign"),
            (Class::Exact, &[("10.00", "11.50"), ("7.37", "8.48"), ("123.45", "141.97")], "factor", "multiplied by 1.15"),
            (Class::Float, &[("1.234", "1.23"), ("5.678", "5.68"), ("0.015", "0.02")], "rounded", "rounded to 2 digits"),
            // Half to even, as Python and NumPy have it, with a pair that half away from zero does not explain.
            (
                Class::Float,
                &[("236.75", "236.8"), ("0.25", "0.2"), ("17.43", "17.4"), ("980.61", "980.6")],
                "rounded",
                "rounded to 1 digit",
            ),
            (Class::Exact, &[("236.733", "236.700"), ("999.951", "1000.000"), ("17.43", "17.400")], "rounded", "rounded to 1 digit"),
            (Class::Float, &[("236.733", "237.0"), ("17.433", "17.4"), ("0.98061", "0.981")], "rounded", "rounded to 3 significant digits"),
            (Class::Float, &[("123456.0", "123000.0"), ("17.478", "17.4"), ("0.98069", "0.98")], "cut", "cut to 3 significant digits"),
            (Class::Exact, &[("1.99", "1.00"), ("5.67", "5.00"), ("-3.50", "-3.00")], "cut", "cut to whole numbers"),
            (
                Class::Float,
                &[("0.1", "0.10000000149011612"), ("0.7", "0.699999988079071"), ("2.3", "2.299999952316284")],
                "narrowed",
                "narrowed to 32 bits",
            ),
            (Class::Exact, &[("1", "0"), ("5", "0"), ("9", "0")], "overwritten", "overwritten by '0'"),
            (Class::Text, &[("a", "b"), ("a", "b"), ("a", "b")], "replaced", "'a' became 'b'"),
            (Class::Text, &[("Ab", "ab"), ("CD", "cd"), ("eF", "ef")], "case", "turned to lower case"),
            (Class::Text, &[(" a", "a"), ("b ", "b"), (" c ", "c")], "trim", "trimmed of white space"),
            (Class::Text, &[("abcdef", "abc"), ("bcdefg", "bcd"), ("xyzuv", "xyz")], "cut", "cut to 3 characters"),
            (Class::Text, &[("é", "Ã©"), ("ü", "Ã¼"), ("ß", "Ã\u{9f}")], "encoding", "UTF-8 read as Latin-1"),
            (
                Class::Time,
                &[
                    ("2024-01-01T10:00:01Z", "2024-01-01T10:00:00Z"),
                    ("2024-01-01T10:05:41Z", "2024-01-01T10:05:00Z"),
                    ("2024-01-01T10:09:59Z", "2024-01-01T10:09:00Z"),
                ],
                "cut",
                "cut to whole min",
            ),
            (Class::Other, &[("true", "false"), ("false", "true"), ("[1]", "[2]")], "unknown", "no one transformation explains them"),
        ];
        for (class, pairs, expected, what) in cases {
            assert_eq!(word(class, pairs), (expected, what.to_string()), "{pairs:?}");
        }
    }

    #[test]
    fn times_that_moved_name_the_shift() {
        let moved = word(
            Class::Time,
            &[
                ("2024-01-01T10:00:00Z", "2024-01-01T11:00:00Z"),
                ("2024-01-02T10:05:00Z", "2024-01-02T11:05:00Z"),
                ("2024-01-03T10:09:00Z", "2024-01-03T11:09:00Z"),
            ],
        );
        assert_eq!(moved.0, "moved");
        assert!(moved.1.starts_with("moved by +1 h, as if the wall clock of Europe/Berlin"), "{}", moved.1);
    }

    #[test]
    fn what_is_not_explained_is_said() {
        let few = explain(Class::Exact, &[(Some("1"), Some("2"))], &[]);
        assert_eq!((few.word, few.what.as_str()), ("unknown", "differs in 1 row, too few to tell how"));
        let nulled = explain(Class::Exact, &[(Some("1"), None), (Some("2"), None), (Some("3"), None)], &[]);
        assert_eq!(nulled.word, "nulled");
        let half = [("1", "2"), ("5", "6"), ("7", "8"), ("9", "100"), ("20", "3")];
        assert!(word(Class::Exact, &half).1.contains("comes nearest, with 3"));
    }
}
