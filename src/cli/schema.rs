//! `gapless schema`: the JSON Schemas of what people write and programs read.

use clap::{Args as ClapArgs, ValueEnum};

use super::print;
use crate::job::job_schema;

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  \
    gapless schema > gapless.schema.json                   beside gapless.toml, whose first line is: #:schema ./gapless.schema.json\n  \
    gapless schema finding                                 what a line of --format jsonl is")]
pub(super) struct Args {
    /// What the schema is of
    #[arg(value_enum, default_value_t = Of::Job)]
    of: Of,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    /// The job file, gapless.toml
    Job,
    /// A line of --format jsonl
    Finding,
    /// The summary: --format json, and run.json of a report
    Run,
}

pub(super) fn run(args: &Args) -> u8 {
    match args.of {
        Of::Job => print(&job_schema()),
        Of::Finding => print(include_str!("../../schema/finding.schema.json")),
        Of::Run => print(include_str!("../../schema/run.schema.json")),
    }
    0
}
