//! What a client keeps on the server between messages: prepared statements and cursors, by the names that it gave them.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion_postgres::pgwire::error::PgWireResult;
use datafusion_postgres::pgwire::messages::PgWireFrontendMessage;
use datafusion_postgres::pgwire::messages::extendedquery::TARGET_TYPE_BYTE_STATEMENT;

use super::sqlstate::{LIMIT, fatal};

/// The most statements and the most cursors that a client may keep.
const MOST: usize = 1_000;

/// The names in use.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) statements: HashSet<String>,
    pub(super) cursors: HashSet<String>,
}

pub(super) fn kept(shared: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    /// Notes what a message will keep or let go.
    ///
    /// # Errors
    /// When that is more than anybody needs.
    pub(super) fn note(&mut self, message: &PgWireFrontendMessage) -> PgWireResult<()> {
        match message {
            PgWireFrontendMessage::Parse(parse) => self.statements.extend(parse.name.clone()),
            PgWireFrontendMessage::Bind(bind) => self.cursors.extend(bind.portal_name.clone()),
            PgWireFrontendMessage::Close(close) => {
                let names = if close.target_type == TARGET_TYPE_BYTE_STATEMENT { &mut self.statements } else { &mut self.cursors };
                if let Some(name) = &close.name {
                    names.remove(name);
                }
            }
            _ => {}
        }
        self.check()
    }

    /// Whether a client keeps more than it may.
    pub(super) fn check(&self) -> PgWireResult<()> {
        for (names, what) in [(&self.statements, "prepared statements"), (&self.cursors, "cursors")] {
            if names.len() > MOST {
                return Err(fatal(LIMIT, format!("a connection keeps at most {MOST} {what}")));
            }
        }
        Ok(())
    }
}
