//! Row fingerprints and the sums that windows make of them.
//!
//! A row's fingerprint is the first 128 bits of BLAKE3 in keyed mode over the row's canonical encoding. A window's
//! checksum is the sum of its rows' fingerprints modulo 2^128, beside a row count. The sum does not depend on order,
//! counts copies (unlike XOR), and because the hash is not linear two rows that swap a value change it.
//!
//! **Probability of an undetected difference.** For two different multisets of rows to have equal sums, a fixed
//! non-trivial combination of fingerprints with small integer coefficients must vanish modulo 2^128. With the hash
//! modelled as random, and an odd coefficient among them, that has probability 2^-128 for a comparison; a
//! coefficient divisible by 2^k (2^k copies of one row against none) raises it to 2^-(128-k). With a billion rows,
//! k < 30, and 10^4 windows, it stays below 10^4 × 2^-98 ≈ 3 × 10^-26.

/// What the checksum is, for reports.
pub const CHECKSUM_DEFINITION: &str = "gapless-checksum/1: sum mod 2^128 of 128-bit keyed BLAKE3 over row encoding v1";

/// The documented constant key: the BLAKE3 key derivation of this context string, with empty key material.
const DEFAULT_KEY_CONTEXT: &str = "gapless 2026-11-23 row checksum v1";

/// The 128-bit fingerprint of a row or a key.
pub type Fingerprint = u128;

/// Fingerprints encoded rows under one key.
#[derive(Clone)]
pub struct RowHasher {
    key: [u8; 32],
}

impl std::fmt::Debug for RowHasher {
    /// The key may be a secret of the run.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RowHasher")
    }
}

impl Default for RowHasher {
    fn default() -> Self {
        Self { key: blake3::derive_key(DEFAULT_KEY_CONTEXT, b"") }
    }
}

impl RowHasher {
    /// With a key of one's own, for instance a secret of the run.
    pub fn with_key(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// The fingerprint of one encoding.
    pub fn fingerprint(&self, encoding: &[u8]) -> Fingerprint {
        let hash = blake3::keyed_hash(&self.key, encoding);
        let mut low = [0; 16];
        low.copy_from_slice(&hash.as_bytes()[..16]);
        u128::from_le_bytes(low)
    }
}

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
