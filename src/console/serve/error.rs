//! Why a report cannot be served, one variant a cause, each with the next step.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::super::ConsoleError;

/// Why `gapless serve` does not start. Each message says what was tried and on what; [`help`](Self::help) says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The report cannot be asked.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// Others than this machine could connect, and what protects the report is missing.
    #[error("`{address}` can be reached from other machines, and {missing}")]
    Exposed {
        /// Where to listen.
        address: SocketAddr,
        /// What is missing.
        missing: &'static str,
    },
    /// A password of no characters protects nothing.
    #[error("the password is empty")]
    EmptyPassword,
    /// A file that was named cannot be read.
    #[error("the {what} `{}` cannot be read: {source}", path.display())]
    ReadFile {
        /// What the file should hold.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A PEM file that does not hold what it should, or a key of another certificate.
    #[error("TLS cannot be set up with `{}` and `{}`: {reason}", certificate.display(), key.display())]
    Tls {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("`{address}` cannot be listened on: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// Signals cannot be received.
    #[error("signals cannot be received: {source}")]
    Signals {
        /// What the operating system said.
        source: io::Error,
    },
    /// The query engine cannot be set up.
    #[error("the query engine cannot be set up: {reason}")]
    Engine {
        /// What it said.
        reason: String,
    },
}

impl ServeError {
    /// The next step, one sentence without a full stop.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Console(ConsoleError::ReportMissing { path }) => {
                format!("name the directory with `--report DIR`, or make it: `mkdir {}`; runs appear as they are written", path.display())
            }
            Self::Console(error) => error.help(),
            Self::Exposed { .. } => {
                "give a password (GAPLESS_SERVE_PASSWORD or `--password-file FILE`) and `--tls-cert FILE --tls-key FILE`, or \
                                     listen on 127.0.0.1 and tunnel to it"
                    .to_owned()
            }
            Self::EmptyPassword => {
                "write it into the first line of the file or into GAPLESS_SERVE_PASSWORD; without either, none is asked for".to_owned()
            }
            Self::ReadFile { .. } => "check the path, and that the user who runs gapless may read it".to_owned(),
            Self::Tls { .. } => {
                "both are PEM files: the certificate with those that vouch for it, and its private key without a passphrase".to_owned()
            }
            Self::Listen { source, .. } => match source.kind() {
                io::ErrorKind::AddrInUse => "something else listens there; choose another port with `--listen 127.0.0.1:PORT`".to_owned(),
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 are for root; choose another with `--listen 127.0.0.1:PORT`".to_owned()
                }
                io::ErrorKind::AddrNotAvailable => "the address is none of this machine's; choose one that is".to_owned(),
                _ => "choose another address with `--listen ADDRESS:PORT`".to_owned(),
            },
            Self::Signals { .. } | Self::Engine { .. } => "this is a fault of gapless; please report it".to_owned(),
        }
    }
}
