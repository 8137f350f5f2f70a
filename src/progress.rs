//! How far a run is: rows and rate on a terminal, nothing elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A count of rows that several readers advance together. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress {
    bar: ProgressBar,
    rows: Arc<AtomicU64>,
}

impl Progress {
    /// Shows nothing.
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), rows: Arc::default() }
    }

    /// Draws on stderr, if that is a terminal.
    pub fn on_terminal() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
        bar.enable_steady_tick(Duration::from_millis(125));
        Self { bar, rows: Arc::default() }
    }

    /// Starts a stage: `what` is being read, and about so many bytes lie ahead (when known).
    pub fn stage(&self, what: &str, bytes_ahead: Option<u64>) {
        self.rows.store(0, Ordering::Relaxed);
        self.bar.reset();
        match bytes_ahead {
            Some(bytes) => self.bar.set_length(bytes.max(1)),
            None => self.bar.unset_length(),
        }
        let template = if bytes_ahead.is_some() {
            "{spinner} {prefix} {wide_bar:.dim} {percent}% {msg} eta {eta}"
        } else {
            "{spinner} {prefix} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(what.to_string());
        self.bar.set_message(String::new());
    }

    /// Rows were read, and with them about so many bytes of the stage.
    pub fn advance(&self, rows: u64, bytes: u64) {
        let total = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        if self.bar.is_hidden() {
            return;
        }
        self.bar.inc(bytes);
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!("{total} rows, {:.0} rows/s", total as f64 / seconds));
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
