//! Digests for people who must show them: of a row, of a window, of a whole side.
//!
//! A window's digest is the digest of its rows' digests, sorted bytewise and concatenated. Sorting makes it
//! independent of order; unlike a sum it withstands an adversary who chooses rows.

use sha2::Digest as _;

use crate::job::DigestAlgorithm;

/// The digest of some bytes.
pub(super) fn digest(algorithm: DigestAlgorithm, bytes: &[u8]) -> Vec<u8> {
    match algorithm {
        DigestAlgorithm::Blake3 => blake3::hash(bytes).as_bytes().to_vec(),
        DigestAlgorithm::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
        DigestAlgorithm::Md5 => md5::Md5::digest(bytes).to_vec(),
    }
}

/// The digest of a set of row digests, in hexadecimal.
pub(super) fn digest_of_rows(algorithm: DigestAlgorithm, rows: &mut [Vec<u8>]) -> String {
    rows.sort_unstable();
    hex(&digest(algorithm, &rows.concat()))
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
