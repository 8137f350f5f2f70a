//! What the property tests and the benches share: a seeded stream, faults planted into it with their
//! ground truth, and files written in every format.
//!
//! Nothing here uses the library: a mistake there must not hide itself here.
#![allow(dead_code, reason = "the tests and the benches each use a part of this module")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a broken generator must stop the test at once")]

pub(crate) mod faults;
pub(crate) mod files;
pub(crate) mod generator;
pub(crate) mod job;
pub(crate) mod table;
