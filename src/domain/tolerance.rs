//! How far two values may lie apart and still count as equal.

/// A tolerance of one column. Symmetric in its two sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// `|a − b| ≤ abs + rel × max(|a|, |b|)`.
    Number {
        /// The absolute part, in the column's unit.
        abs: f64,
        /// The relative part, a fraction.
        rel: f64,
    },
    /// `|a − b|` at most so many nanoseconds.
    Time {
        /// Nanoseconds.
        nanos: i128,
    },
}

impl Tolerance {
    /// True when two numbers are within it. NaN equals NaN, an infinity only itself.
    pub fn numbers_within(abs: f64, rel: f64, a: f64, b: f64) -> bool {
        if a.is_nan() || b.is_nan() {
            return a.is_nan() && b.is_nan();
        }
        if a == b {
            return true;
        }
        if a.is_infinite() || b.is_infinite() {
            return false;
        }
        (a - b).abs() <= abs + rel * a.abs().max(b.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::Tolerance;

    #[test]
    fn is_symmetric_and_knows_the_odd_numbers() {
        let within = |a, b| Tolerance::numbers_within(0.01, 0.1, a, b);
        for (a, b, expected) in [
            (10.0, 10.9, true),
            (10.9, 10.0, true),
            (10.0, 12.0, false),
            (12.0, 10.0, false),
            (0.005, 0.0, true),
            (0.02, 0.0, false),
            (f64::NAN, f64::NAN, true),
            (f64::NAN, 1.0, false),
            (f64::INFINITY, f64::INFINITY, true),
            (f64::INFINITY, f64::NEG_INFINITY, false),
            (f64::INFINITY, 1e308, false),
            (-0.0, 0.0, true),
        ] {
            assert_eq!(within(a, b), expected, "{a} {b}");
            assert_eq!(within(b, a), expected, "{b} {a}");
        }
    }
}
