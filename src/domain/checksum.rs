//! The sums that windows make of row checksums.
//!
//! A window's checksum is the sum of its rows' checksums modulo 2^128, beside a row count. The sum does not depend on order, and
//! counts copies (unlike XOR). How a row's checksum is made, and how likely a difference stays unseen, is in `row_hash`.

/// The 128-bit checksum of a row or a key.
pub type Fingerprint = u128;

/// An order-independent, duplicate-aware sum of fingerprints, with its row count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksum {
    /// Rows summed.
    pub rows: u64,
    /// Sum of their fingerprints modulo 2^128.
    pub sum: u128,
}

impl Checksum {
    /// Adds one row.
    #[inline]
    pub fn add(&mut self, fingerprint: Fingerprint) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(fingerprint);
    }

    /// Adds all rows of another.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// The sum as 32 hexadecimal digits.
    pub fn to_hex(self) -> String {
        format!("{:032x}", self.sum)
    }
}
