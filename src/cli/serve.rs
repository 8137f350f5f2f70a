//! `gapless serve`: the report for clients of PostgreSQL.

#[cfg(feature = "serve")]
pub(super) use with::{Args, run};
#[cfg(not(feature = "serve"))]
pub(super) use without::{Args, run};

#[cfg(feature = "serve")]
mod with {
    use std::io::Write;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use super::super::arguments::{default_memory, memory};
    use super::super::{runtime, say_error, threads};
    use crate::console::{ServeOptions, Tls, serve};

    /// The variable that holds the password where no file does.
    const PASSWORD: &str = "GAPLESS_SERVE_PASSWORD";

    /// Let psql, DBeaver, Grafana or a notebook ask the report: it speaks the protocol of PostgreSQL
    ///
    /// Only reading is possible, and only the report can be read: its tables over all runs, each with a `run` column first, and the
    /// ready-made queries as views, such as queries.open_gaps. New runs appear without a restart. Any user and database name is taken.
    ///
    /// A loopback address is open to every user of this machine unless a password is given. Any other address needs a password and a
    /// certificate. The password is the first line of --password-file, or the variable GAPLESS_SERVE_PASSWORD.
    #[derive(Debug, clap::Args)]
    #[command(after_help = "Examples:\n  \
        gapless serve                                      then: psql -h 127.0.0.1 -p 5433 -c '\\d'\n  \
        gapless serve --report /var/reports --listen 127.0.0.1:6000\n  \
        gapless serve --listen 0.0.0.0:5433 --password-file secret --tls-cert cert.pem --tls-key key.pem\n\n\
        It serves until Ctrl-C or SIGTERM ends it. Exit codes: 0 ended that way, 2 it could not start.")]
    pub(in super::super) struct Args {
        /// The report directory; it may hold no run yet
        #[arg(long, value_name = "DIR", default_value = "gapless-report")]
        report: PathBuf,

        /// Where to listen; port 0 takes a free one
        #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5433", value_parser = address)]
        listen: SocketAddr,

        /// A file whose first line is the password
        #[arg(long, value_name = "FILE", help_heading = "Protection")]
        password_file: Option<PathBuf>,

        /// The certificate, a PEM file. With it, connections that are not encrypted are turned away
        #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "Protection")]
        tls_cert: Option<PathBuf>,

        /// The private key of the certificate, a PEM file
        #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "Protection")]
        tls_key: Option<PathBuf>,

        /// What all statements together may use, such as 512MiB [default: three fifths of the machine's, at most 1GiB]
        #[arg(long, value_name = "SIZE", value_parser = memory, help_heading = "Limits")]
        memory: Option<u64>,

        /// How long one statement may take, with the sending of its rows
        #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, help_heading = "Limits")]
        timeout: Duration,

        /// How many clients are served at once
        #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Limits")]
        max_connections: u16,
    }

    pub(in super::super) fn run(args: Args) -> u8 {
        let Args { report, listen, password_file, tls_cert, tls_key, memory, timeout, max_connections } = args;
        let password = match password(password_file.as_deref()) {
            Ok(password) => password,
            Err(problem) => {
                say_error(&problem, "check the path, and that the user who runs gapless may read it");
                return 2;
            }
        };
        let options = ServeOptions {
            report: report.clone(),
            listen,
            password,
            tls: tls_cert.zip(tls_key).map(|(certificate, key)| Tls { certificate, key }),
            memory_bytes: memory.unwrap_or_else(|| default_memory().min(1 << 30)),
            timeout,
            max_connections: usize::from(max_connections),
        };
        let ready = |address: SocketAddr, runs: usize| {
            let report = report.display();
            let runs = if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
            let _ = writeln!(std::io::stderr(), "serving {report} ({runs}) at postgresql://{address}/gapless; Ctrl-C ends it");
        };
        let Some(runtime) = runtime(threads(None)) else { return 2 };
        match runtime.block_on(serve(options, ready)) {
            Ok(()) => {
                // A statement in the middle of a computation is not waited for.
                runtime.shutdown_background();
                0
            }
            Err(error) => {
                say_error(&error.to_string(), &error.help());
                2
            }
        }
    }

    /// The first line of the file, or the variable, or none.
    fn password(file: Option<&Path>) -> Result<Option<String>, String> {
        let Some(path) = file else {
            return match std::env::var(PASSWORD) {
                Ok(password) => Ok(Some(password)),
                Err(std::env::VarError::NotPresent) => Ok(None),
                Err(std::env::VarError::NotUnicode(_)) => Err(format!("the variable {PASSWORD} is not UTF-8")),
            };
        };
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("the password file `{}` cannot be read: {error}", path.display()))?;
        Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
    }

    fn address(text: &str) -> Result<SocketAddr, String> {
        if let Some(port) = text.strip_prefix("localhost:") {
            return port.parse().map(|port| (Ipv4Addr::LOCALHOST, port).into()).map_err(|_| format!("`{port}` is no port"));
        }
        text.parse().map_err(|_| "write an IP address and a port, as in 127.0.0.1:5433 or [::1]:5433".to_owned())
    }

    fn duration(text: &str) -> Result<Duration, String> {
        let length = crate::domain::Duration::parse(text).map_err(|error| error.to_string())?;
        Ok(Duration::from_nanos(u64::try_from(length.nanos()).unwrap_or(u64::MAX)))
    }
}

/// A build without the server says so, rather than that there is no such command.
#[cfg(not(feature = "serve"))]
mod without {
    use std::ffi::OsString;

    use super::super::say_error;

    /// Let clients of PostgreSQL ask the report (not in this build)
    #[derive(Debug, clap::Args)]
    #[command(disable_help_flag = true)]
    pub(in super::super) struct Args {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        _all: Vec<OsString>,
    }

    pub(in super::super) fn run(_args: Args) -> u8 {
        say_error(
            "this build of gapless has no `serve`: it was made without the feature of that name",
            "build it in: `cargo install --locked --path . --features serve`",
        );
        2
    }
}
