//! `gapless serve`: the report over the PostgreSQL wire protocol, so that psql, DBeaver, Grafana or a notebook can ask it.
//!
//! ```text
//! client ──► door ──► connection ──► desk ──► catalog: the runs of this moment ──► rows
//!            who      limits,        what may            report.findings, …
//!            may in   cancelling     be asked            queries.open_gaps, …
//!                                                        pg_catalog, information_schema
//! ```
//!
//! It reads the report and nothing else. Every statement sees the runs that are complete when it begins, so that a new run appears and
//! a pruned one goes without a restart. What a statement may be is what `gapless sql` takes, and what drivers say around it. The memory
//! of all statements together is bounded, and nothing is spilled to disk: a statement that needs more fails, the server stays. That also
//! keeps joins right, because only a join that spills loses rows (apache/datafusion#24745).

mod bounded;
mod catalog;
mod connection;
mod desk;
mod door;
mod error;
mod kept;
mod rows;
mod settings;
mod sqlstate;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use self::catalog::Catalog;
pub use self::connection::decodes;
use self::connection::{Cancels, House, converse, turn_away};
use self::door::Door;
pub use self::error::ServeError;

/// What to serve, where, and to whom.
#[derive(Clone)]
pub struct ServeOptions {
    /// The report directory. It may hold no run yet.
    pub report: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What a client must know; None lets everybody in who can reach a loopback address.
    pub password: Option<String>,
    /// The certificate, where connections are encrypted. All are, then.
    pub tls: Option<Tls>,
    /// What all statements together may use, in bytes.
    pub memory_bytes: u64,
    /// How long one statement may take, with the sending of its rows.
    pub timeout: Duration,
    /// How many clients are served at once.
    pub max_connections: usize,
}

/// PEM files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate, and after it those that vouch for it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How long a connection may take to say goodbye when the server stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// How many clients beyond the limit are told so at once; further ones find the connection closed.
const TURNED_AWAY: usize = 16;

/// Serves until it is interrupted or terminated. `ready` is told the address once clients can connect, and how many runs there are.
///
/// # Errors
/// When the options do not allow it, the report cannot be read, or the address cannot be listened on.
pub async fn serve(options: ServeOptions, ready: impl FnOnce(SocketAddr, usize)) -> Result<(), ServeError> {
    let door = Door::build(&options)?;
    let catalog = Catalog::open(&options.report, options.memory_bytes).await?;
    let runs = catalog.runs()?;
    let listener = listen(options.listen).await?;
    let address = listener.local_addr().map_err(|source| ServeError::Listen { address: options.listen, source })?;
    let mut stop = Stop::new()?;
    let house = Arc::new(House {
        catalog,
        door,
        parser: PostgresCompatibilityParser::new(),
        cancels: Cancels::default(),
        timeout: options.timeout,
        max_connections: options.max_connections,
    });
    ready(address, runs);

    let (close, closing) = watch::channel(false);
    let places = Arc::new(Semaphore::new(options.max_connections));
    let waiting = Arc::new(Semaphore::new(TURNED_AWAY));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.asked() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file handles, most likely: others will be given back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let house = Arc::clone(&house);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            let closing = closing.clone();
            connections.spawn(async move {
                converse(stream, house, closing).await;
                drop(place);
            });
        } else if let Ok(place) = Arc::clone(&waiting).try_acquire_owned() {
            connections.spawn(async move {
                turn_away(stream, house).await;
                drop(place);
            });
        }
    }
    drop(listener);
    let _ = close.send(true);
    let _ = tokio::time::timeout(FAREWELL, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// Waits for Ctrl-C or for whoever manages services.
struct Stop {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    #[cfg(unix)]
    fn new() -> Result<Self, ServeError> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|source| ServeError::Signals { source });
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    #[cfg(unix)]
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    fn new() -> Result<Self, ServeError> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn asked(&mut self) {
        let _ = tokio::signal::ctrl_c().await;
    }
}

/// What a file holds, or an error that names it.
fn read_file(what: &'static str, path: &Path) -> Result<Vec<u8>, ServeError> {
    std::fs::read(path).map_err(|source| ServeError::ReadFile { what, path: path.to_owned(), source })
}
