//! The two sides, and what is asked of them.

use std::fmt;

/// One of the two tables under verification. With one side alone it is the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// What was collected live.
    Original,
    /// What was collected again.
    Backfill,
}

impl Side {
    /// Both, in the order in which they are always named.
    pub const BOTH: [Self; 2] = [Self::Original, Self::Backfill];

    /// 0 for the original, 1 for the backfill: the place in a pair.
    pub fn index(self) -> usize {
        match self {
            Self::Original => 0,
            Self::Backfill => 1,
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Original => Self::Backfill,
            Self::Backfill => Self::Original,
        }
    }

    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Backfill => "backfill",
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the two sides have to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The backfill must equal the original.
    Replica,
    /// The backfill fills the original's holes; both together are the recovered stream.
    Fill,
    /// One side alone: nothing is compared.
    Single,
}

impl Mode {
    /// The public word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replica => "replica",
            Self::Fill => "fill",
            Self::Single => "single",
        }
    }
}

impl Mode {
    /// Reads the public word.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Replica, Self::Fill, Self::Single].into_iter().find(|mode| mode.as_str() == text)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
