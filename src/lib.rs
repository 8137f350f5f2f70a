//! gapless proves that a recovered data stream is whole: nothing missing, nothing twice, nothing changed; and where
//! it is not, says precisely what to collect again.
//!
//! ```text
//! job ──► sources ──► staging ──► screen ──► localise ──► findings ──► report (tables) ──► text · HTML · JSON …
//! (TOML,   open a      canonical    one pass    exact look    one Arrow                 ├──► gate (exit code)
//!  flags)  side        original,    per side    at what       schema,                   └──► SQL over the report
//!                      backfill                 differs       as Parquet
//! ```
//!
//! # Floors
//!
//! A file imports its own folder and lower floors only; `tests/it/architecture.rs` reads the `use` lines.
//!
//! | floor | what lives there |
//! | --- | --- |
//! | 7 | [`cli`]: one file a subcommand |
//! | 6 | [`verify`]: the pipeline in the order of the figure |
//! | 5 | [`report`], [`gate`], [`console`]: from records of runs to bytes, exit codes and answers |
//! | 4 | [`checks`]: the passes, the catalogue of queries, the runner |
//! | 3 | [`staging`]: the sides in canonical form; [`findings`]: what checks return |
//! | 2 | [`source`]: open a side, with the functions that its plans need beyond the engine |
//! | 1 | [`job`]: what people wrote, valid by construction |
//! | 0 | [`domain`], [`error`], [`progress`] |
//!
//! # Invariants
//!
//! * `domain` imports nothing of ours. `report`, `gate` and `console` never import `source`, `staging` or `checks`.
//! * No SQL text in Rust beyond registration: checks are files in `queries/`, listed once.
//! * No code path writes to a side.
//! * No finding is made from a hash alone: hashes only say where to look.
//! * No plan runs with a nested loop join that is outer, semi or anti.
//! * The same inputs give the same findings, to the byte, for any threads, batches, files and row order.

pub mod checks;
pub mod cli;
pub mod console;
pub mod domain;
pub mod error;
pub mod findings;
pub mod gate;
pub mod job;
pub mod progress;
pub mod report;
pub mod source;
pub mod staging;
pub mod verify;
