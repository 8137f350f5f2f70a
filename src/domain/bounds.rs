//! The half-open time range that a verdict speaks of.

use super::Instant;

/// `[from, until)`; an end that is `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The first instant inside.
    pub from: Option<Instant>,
    /// The first instant no longer inside.
    pub until: Option<Instant>,
}

impl Bounds {
    /// True when the instant lies inside.
    pub fn contains(&self, at: Instant) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    /// True when neither end is given.
    pub fn is_open(&self) -> bool {
        self.from.is_none() && self.until.is_none()
    }
}
