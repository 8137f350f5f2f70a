//! Reading foreign bytes without trusting the readers: a panic inside a decoder becomes an error that names the side.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::DataFusionError;
use futures::FutureExt;

static GUARDS: AtomicUsize = AtomicUsize::new(0);

/// While one lives, panics are caught somewhere above and need not be printed.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Starts guarding.
    pub fn new() -> Self {
        GUARDS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// True while any guard lives.
    pub fn is_active() -> bool {
        GUARDS.load(Ordering::SeqCst) > 0
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        GUARDS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs a future; a panic inside it becomes an error.
///
/// # Errors
/// Those of the future, and its panics.
pub async fn guarded<T>(work: impl Future<Output = Result<T, DataFusionError>>) -> Result<T, DataFusionError> {
    let _guard = Guard::new();
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("no message");
            Err(DataFusionError::Execution(format!("the decoder gave up on damaged data ({text})")))
        }
    }
}

/// An engine error without the layers that say nothing to a user.
pub fn describe_engine_error(error: &DataFusionError) -> String {
    let root = error.find_root();
    let text = match root {
        DataFusionError::Execution(text) | DataFusionError::Plan(text) => text.clone(),
        DataFusionError::ArrowError(inner, _) => inner.to_string(),
        DataFusionError::ParquetError(inner) => inner.to_string(),
        DataFusionError::SQL(inner, _) => inner.to_string().replace("sql parser error: ", ""),
        other => other.to_string(),
    };
    let text = text.split("\n\nbacktrace:").next().unwrap_or_default();
    // What the engine asks its own users to do is nothing that a user of gapless can do.
    let text = text.split("This issue was likely caused by a bug in DataFusion").next().unwrap_or_default().trim();
    let text = text.strip_prefix("Parquet error: ").unwrap_or(text);
    let mut line = text.replace('\n', " ");
    if line.len() > 600 {
        let cut = (0..=600).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
        line.truncate(cut);
        line.push('…');
    }
    line
}
