//! The integration tests: one binary, since linking the query engine is what costs. Most of them run the command
//! itself, as a user or a script does.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub, reason = "tests may panic and document themselves")]
#![allow(clippy::single_range_in_vec_init, reason = "a list of ranges may hold one")]
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "tests say what they skip")]

#[path = "../common/mod.rs"]
mod common;

mod architecture;
mod bad_input;
mod checks_page;
mod continuity;
mod csv;
mod drill;
mod encoding;
mod engine;
mod fixtures;
mod malformed;
mod many;
mod oracle;
mod outputs;
mod outside;
mod page;
mod pages;
mod property;
mod real_data;
mod report;
mod schema;
#[cfg(feature = "serve")]
mod serve;
mod sql;
mod support;
mod traps;
mod vectors;
