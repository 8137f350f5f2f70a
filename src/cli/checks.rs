//! `gapless checks`

use clap::{Args as ClapArgs, Subcommand};
use comfy_table::{ContentArrangement, Table, presets};

use super::{print, say_error};
use crate::checks::catalogue;
use crate::error::nearest;

#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  gapless checks\n  gapless checks explain duplicate_key")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Why a check matters, its SQL, its severity, and what repairs what it finds
    Explain {
        /// The check's id, as in the list
        id: String,
    },
}

pub(super) fn run(args: Args) -> u8 {
    match args.command {
        None => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header([
                "check",
                "family",
                "severity",
                "what it finds",
            ]);
            for check in catalogue::all() {
                table.add_row([check.id, check.family, check.severity.as_str(), &check.summary]);
            }
            print(&format!("{}\n", table.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")));
            0
        }
        Some(Command::Explain { id }) => match catalogue::find(&id) {
            Some(check) => {
                print(&format!(
                    "{}: {}\n\nwhy       {}\nseverity  {}\ngrain     {}\nrepair    {}\nreads     {}\n\n{}\n",
                    check.id,
                    check.summary,
                    check.why,
                    check.severity,
                    check.grain.as_str(),
                    check.repair,
                    check.reads.join(", "),
                    check.sql
                ));
                0
            }
            None => {
                let known: Vec<&str> = catalogue::FILES.iter().map(|(_, id, _)| *id).collect();
                say_error(&format!("there is no check '{id}'"), &nearest(&id, known));
                2
            }
        },
    }
}
