//! One client, from its first byte to its last, and what it may use up.
//!
//! The loop is ours rather than the protocol crate's, because that one answers a login that fails with "ready", takes messages of a
//! gigabyte from clients that have not logged in, takes what was sent before encryption for encrypted, and cannot cancel a statement once
//! its first row is on the way.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use datafusion_postgres::datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::api::{
    ClientInfo, NoopHandler, PgWireConnectionState, PidSecretKeyGenerator, RandomPidSecretKeyGenerator,
};
use datafusion_postgres::pgwire::error::{PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::cancel::CancelRequest;
use datafusion_postgres::pgwire::messages::startup::SecretKey;
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use datafusion_postgres::pgwire::tokio::server::{MaybeTls, PgWireMessageServerCodec, negotiate_tls, process_error, process_message};
use futures::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::codec::Framed;

use super::catalog::Catalog;
use super::desk::{Desk, Prepared};
use super::door::Door;
use super::kept::{Kept, kept};
use super::settings;
use super::sqlstate::{CANCELLED, INTERNAL, NOT_LET_IN, PROTOCOL, SHUTDOWN, TOO_MANY, error, fatal, outgoing};

/// How long a client may take to come in.
const LOGIN: Duration = Duration::from_secs(30);
/// How long a wrong password keeps its client waiting.
const WRONG_PASSWORD: Duration = Duration::from_secs(1);
/// How long a client may take to read its last error.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How much is read of what a client still says after that.
const LEFT_UNREAD: usize = 1 << 20;
/// The most bytes of a message before the login, and after it.
const LOGIN_BYTES: usize = 64 << 10;
const MESSAGE_BYTES: usize = 16 << 20;

/// What all connections share.
pub(super) struct House {
    pub(super) catalog: Catalog,
    pub(super) door: Door,
    pub(super) parser: PostgresCompatibilityParser,
    pub(super) cancels: Cancels,
    pub(super) timeout: Duration,
    pub(super) max_connections: usize,
}

/// Which connection a request to cancel means. It comes over a connection of its own, with the secret that the other was given.
#[derive(Default)]
pub(super) struct Cancels {
    keys: RandomPidSecretKeyGenerator,
    known: Mutex<HashMap<i32, (SecretKey, Arc<Notify>)>>,
}

impl Cancels {
    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<i32, (SecretKey, Arc<Notify>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection among those that can be cancelled, for as long as it lasts.
struct Cancellable {
    house: Arc<House>,
    cancel: Arc<Notify>,
    pid: Mutex<Option<i32>>,
}

impl PidSecretKeyGenerator for Cancellable {
    fn generate(&self, client: &dyn ClientInfo) -> (i32, SecretKey) {
        let (pid, key) = self.house.cancels.keys.generate(client);
        self.house.cancels.known().insert(pid, (key.clone(), Arc::clone(&self.cancel)));
        let old = self.pid.lock().unwrap_or_else(PoisonError::into_inner).replace(pid);
        if let Some(old) = old {
            self.house.cancels.known().remove(&old);
        }
        (pid, key)
    }
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.house.cancels.known().remove(&pid);
        }
    }
}

/// Cancels what the request names.
struct Canceller(Arc<House>);

#[async_trait]
impl CancelHandler for Canceller {
    async fn on_cancel_request(&self, request: CancelRequest) {
        if let Some((key, cancel)) = self.0.cancels.known().get(&request.pid)
            && key.eq_value(&request.secret_key)
        {
            cancel.notify_waiters();
        }
    }
}

type Socket = Framed<MaybeTls, PgWireMessageServerCodec<Prepared>>;

/// Encrypts the connection if the client asks for it. None where there is nobody to speak to.
async fn open(stream: TcpStream, house: &House) -> Option<Socket> {
    let socket = timeout(LOGIN, negotiate_tls(stream, house.door.acceptor())).await.ok()?.ok()??;
    // What was sent after the request for encryption and before it began was not encrypted: whoever put it there is between us.
    if matches!(socket.get_ref(), MaybeTls::Tls(_)) && !socket.read_buffer().is_empty() {
        return None;
    }
    Some(socket)
}

/// Tells a client that there is no place for it.
pub(super) async fn turn_away(stream: TcpStream, house: Arc<House>) {
    let Some(mut socket) = timeout(LAST_WORDS, open(stream, &house)).await.ok().flatten() else { return };
    // A request to cancel must get through when all places are taken, most of all then.
    if let Ok(Some(Ok(PgWireFrontendMessage::CancelRequest(request)))) = timeout(LAST_WORDS, next(&mut socket, LOGIN_BYTES)).await {
        Canceller(house).on_cancel_request(request).await;
        return;
    }
    end(&mut socket, fatal(TOO_MANY, format!("all {} connections are taken (--max-connections)", house.max_connections))).await;
}

/// Speaks with a client until either side ends it.
pub(super) async fn converse(stream: TcpStream, house: Arc<House>, closing: watch::Receiver<bool>) {
    let Some(mut socket) = open(stream, &house).await else { return };
    let cancellable = Arc::new(Cancellable { house: Arc::clone(&house), cancel: Arc::new(Notify::new()), pid: Mutex::new(None) });
    if let Err(failure) = speak(&mut socket, &house, &cancellable, closing).await {
        end(&mut socket, failure).await;
    }
}

/// The last words to a client.
async fn end(socket: &mut Socket, failure: PgWireError) {
    let words = PgWireBackendMessage::ErrorResponse(datafusion_postgres::pgwire::error::ErrorInfo::from(outgoing(failure)).into());
    let _ = timeout(LAST_WORDS, async {
        let _ = socket.send(words).await;
        let _ = socket.close().await;
        // A connection that is closed over what it has not read is reset, and the client would lose the words.
        let mut left = LEFT_UNREAD;
        let mut bytes = [0; 4096];
        while left > 0 {
            let mut unread = ReadBuf::new(&mut bytes);
            if poll_fn(|context| Pin::new(socket.get_mut()).poll_read(context, &mut unread)).await.is_err() || unread.filled().is_empty() {
                break;
            }
            left = left.saturating_sub(unread.filled().len());
        }
    })
    .await;
}

/// The conversation. An error is one that ends it.
async fn speak(
    socket: &mut Socket,
    house: &Arc<House>,
    cancellable: &Arc<Cancellable>,
    mut closing: watch::Receiver<bool>,
) -> PgWireResult<()> {
    let login = Arc::new(house.door.login(Arc::<Cancellable>::clone(cancellable)));
    let desk = Arc::new(Desk { house: Arc::clone(house), kept: Arc::new(Mutex::new(Kept::default())) });
    let canceller = Arc::new(Canceller(Arc::clone(house)));
    let deadline = Instant::now() + LOGIN;
    let mut is_in = false;
    loop {
        let most = if is_in { MESSAGE_BYTES } else { LOGIN_BYTES };
        let message = tokio::select! {
            _ = closing.changed() => return Err(shutting_down()),
            () = tokio::time::sleep_until(deadline), if !is_in => return Ok(()),
            message = next(socket, most) => message,
        };
        let message = match message {
            None | Some(Ok(PgWireFrontendMessage::Terminate(_))) => return Ok(()),
            Some(message) => message?,
        };
        if !is_in && !socket.is_secure() && house.door.wants_tls() && !matches!(message, PgWireFrontendMessage::CancelRequest(_)) {
            return Err(fatal(
                NOT_LET_IN,
                "this server takes encrypted connections only: connect with sslmode=require, or better verify-full",
            ));
        }
        let logs_in = matches!(
            message,
            PgWireFrontendMessage::Startup(_) | PgWireFrontendMessage::PasswordMessageFamily(_) | PgWireFrontendMessage::CancelRequest(_)
        );
        if !is_in && !logs_in {
            return Err(fatal(PROTOCOL, "log in first"));
        }
        let waits_for_sync = message.is_extended_query();
        let allowed = settings::timeout(socket.metadata()).map_or(house.timeout, |own| own.min(house.timeout));
        let kept = kept(&desk.kept).note(&message);
        let outcome = {
            let cancelled = cancellable.cancel.notified();
            tokio::pin!(cancelled);
            cancelled.as_mut().enable();
            let work = process_message(
                message,
                socket,
                Arc::clone(&login),
                Arc::clone(&desk),
                Arc::clone(&desk),
                Arc::new(NoopHandler),
                Arc::clone(&canceller),
            );
            let work = AssertUnwindSafe(work).catch_unwind();
            if !is_in {
                match timeout_at(deadline, work).await {
                    Ok(outcome) => outcome.unwrap_or_else(|_| Err(defect())),
                    Err(_) => return Ok(()),
                }
            } else if let Err(failure) = kept {
                Err(failure)
            } else {
                // The work last: it may use up what the runtime lets one task do in a turn, and then no timer behind it is looked at.
                tokio::select! {
                    biased;
                    () = cancelled => Err(PgWireError::QueryCanceled),
                    _ = closing.changed() => Err(shutting_down()),
                    () = sleep(allowed) => Err(error(
                        CANCELLED,
                        format!("the statement was cancelled after {}, which is all it may take", shown(allowed)),
                        "ask for less, or set statement_timeout up to what `gapless serve --timeout` allows",
                    )),
                    outcome = work => outcome.unwrap_or_else(|_| Err(defect())),
                }
            }
        };
        if let Err(failure) = outcome {
            if !is_in {
                if matches!(failure, PgWireError::InvalidPassword(_)) {
                    refuse_password(socket);
                    sleep(WRONG_PASSWORD).await;
                    return Err(fatal("28P01", "password authentication failed"));
                }
                return Err(failure);
            }
            let failure = outgoing(failure);
            if is_last(&failure) {
                return Err(failure);
            }
            // A client that does not read cannot hold the place for ever.
            match timeout(LAST_WORDS.max(allowed), process_error(socket, failure, waits_for_sync)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(()),
            }
        }
        if !is_in && matches!(socket.state(), PgWireConnectionState::ReadyForQuery) {
            is_in = true;
            settings::tidy(socket.metadata_mut());
        }
    }
}

/// The next message, of at most so many bytes.
///
/// The protocol crate panics over some malformed messages. That ends the connection, as any malformed message does, and is no defect of
/// ours to report.
async fn next(socket: &mut Socket, most: usize) -> Option<PgWireResult<PgWireFrontendMessage>> {
    poll_fn(|context| {
        DECODES.set(true);
        let polled = catch_unwind(AssertUnwindSafe(|| socket.poll_next_unpin(context)));
        DECODES.set(false);
        match polled {
            Err(_) => Poll::Ready(Some(Err(fatal(PROTOCOL, "a message is malformed")))),
            Ok(Poll::Pending) if is_longer(socket, most) => {
                Poll::Ready(Some(Err(fatal(PROTOCOL, format!("a message of more than {most} bytes is not taken")))))
            }
            Ok(other) => other,
        }
    })
    .await
}

thread_local! {
    static DECODES: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is decoding what a client sent, so that a panic is about that.
pub fn decodes() -> bool {
    DECODES.get()
}

/// Whether what has come of a message, or what it says of its length, is too much.
fn is_longer(socket: &Socket, most: usize) -> bool {
    let buffer = socket.read_buffer();
    let has_type = !matches!(socket.state(), PgWireConnectionState::AwaitingStartup | PgWireConnectionState::AwaitingSslRequest);
    let length = buffer.get(usize::from(has_type)..usize::from(has_type) + 4);
    let said = length.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
    buffer.len() > most || usize::try_from(said).unwrap_or(usize::MAX) > most
}

fn is_last(failure: &PgWireError) -> bool {
    match failure {
        PgWireError::UserError(info) => info.is_fatal(),
        PgWireError::IoError(_) => true,
        _ => false,
    }
}

fn shutting_down() -> PgWireError {
    fatal(SHUTDOWN, "the server is stopping")
}

fn defect() -> PgWireError {
    fatal(INTERNAL, "a defect of gapless ended this connection; please report the statement that led here")
}

fn refuse_password(socket: &Socket) {
    let _ = writeln!(std::io::stderr(), "refused: a wrong password from {}", socket.socket_addr().ip());
}

fn shown(length: Duration) -> String {
    format!("{} ms", length.as_millis())
}
