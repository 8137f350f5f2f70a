//! The command line: one file a subcommand, each clap types and one call into the library. Floor 7.

mod arguments;
mod checks;
mod init;
mod outputs;
mod report;
mod schema;
mod serve;
mod shell;
pub mod sql;
mod verify;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};

use clap::{Parser, Subcommand};

use crate::error::{Error, redacted};

/// Proves that a recovered data stream is whole: nothing missing, nothing twice, nothing changed.
#[derive(Debug, Parser)]
#[command(
    name = "gapless",
    version,
    about,
    long_about = None,
    after_help = "Examples:\n  \
        gapless verify original/ backfill/ --key order_id --time ts --window 1h\n  \
        gapless verify --job gapless.toml\n  \
        gapless init original/ backfill/ > gapless.toml\n  \
        gapless report --output report.html\n  \
        gapless sql \"SELECT * FROM findings WHERE severity = 'error'\"\n\n\
        Exit codes: 0 pass, 1 a finding at or above --fail-on, 2 usage or input error, 3 incomplete, 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the checks, write the report, set the exit code
    Verify(Box<verify::Args>),
    /// Ask the report in SQL; without arguments a shell
    Sql(sql::Args),
    /// Let clients of PostgreSQL ask the report: psql, DBeaver, Grafana, notebooks
    #[cfg_attr(not(feature = "serve"), command(hide = true))]
    Serve(serve::Args),
    /// Show a stored run again in any form; list, compare and remove runs
    Report(report::Args),
    /// Look at the data and write a commented job file
    Init(Box<init::Args>),
    /// What is checked, why, and with which SQL
    Checks(checks::Args),
    /// Write a JSON Schema: of the job file for editors, of the JSON outputs for programs
    Schema(schema::Args),
    /// Write completions for a shell
    Completions(shell::CompletionArgs),
    /// Write the manual page
    Man(shell::ManArgs),
}

/// Runs the command line and returns the exit code. Results go to stdout, everything else to stderr.
pub fn run_from<I, T>(args: I) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    quiet_panics();
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let typed: Vec<String> = args.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let cli = match Cli::try_parse_from(sql::with_parameters(args)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, to stdout and with 0.
            if !error.use_stderr() {
                let _ = error.print();
                return 0;
            }
            // What was typed is quoted, and may hold a password.
            let said = error.render();
            let said = if std::io::stderr().is_terminal() { said.ansi().to_string() } else { said.to_string() };
            let _ = std::io::stderr().lock().write_all(redacted(&said).as_bytes());
            return 2;
        }
    };
    match cli.command {
        Command::Verify(args) => verify::run(*args, &typed),
        Command::Report(args) => report::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Init(args) => init::run(*args),
        Command::Checks(args) => checks::run(args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
        Command::Sql(args) => {
            let Some(runtime) = runtime(threads(None)) else { return 2 };
            match runtime.block_on(sql::run(args)) {
                Ok(code) => code,
                Err(error) => {
                    say_error(&error.to_string(), &error.help());
                    2
                }
            }
        }
    }
}

/// A panic inside a decoder is caught and reported as damaged data; any other is a defect, said in one line.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        if crate::source::Guard::is_active() {
            return;
        }
        #[cfg(feature = "serve")]
        if crate::console::decodes() {
            return;
        }
        let said = crate::report::plain_lines(&redacted(&info.to_string()));
        let _ = writeln!(std::io::stderr(), "error: a defect of gapless: {said}\nhelp: please report this with the command that led here");
    }));
}

fn threads(wanted: Option<usize>) -> usize {
    wanted.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}

fn runtime(threads: usize) -> Option<tokio::runtime::Runtime> {
    match tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_stack_size(8 << 20).enable_all().build() {
        Ok(runtime) => Some(runtime),
        Err(error) => {
            say_error(&format!("could not start threads: {error}"), "try a smaller --threads");
            None
        }
    }
}

/// An error and what to do next, on stderr.
fn say_error(problem: &str, help: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "error: {}", crate::report::plain_lines(&redacted(problem)));
    if !help.is_empty() {
        let _ = writeln!(stderr, "help: {}", crate::report::plain_lines(&redacted(help)));
    }
}

fn fail(error: &Error) -> u8 {
    say_error(&error.to_string(), &error.help());
    error.exit_code()
}

/// A remark on stderr.
fn say(line: &str) {
    let mut line = crate::report::plain_lines(&redacted(line));
    line.push('\n');
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Writes a result to stdout. A reader that has gone away ends it quietly.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
