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

    /// Starts a stage: what is being read, and how many rows lie ahead, where that is known.
    pub fn stage(&self, what: &str, rows_ahead: Option<u64>) {
        self.rows.store(0, Ordering::Relaxed);
        self.bar.reset();
        let template = match rows_ahead {
            Some(rows) => {
                self.bar.set_length(rows.max(1));
                "{spinner} {prefix}  {bar:30.dim}  {percent:>3}%  {msg}  {eta} left"
            }
            None => {
                self.bar.unset_length();
                "{spinner} {prefix}  {msg}"
            }
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_prefix(what.to_string());
        self.bar.set_message(String::new());
    }

    /// Rows were read.
    pub fn advance(&self, rows: u64) {
        let total = self.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        if self.bar.is_hidden() {
            return;
        }
        self.bar.inc(rows);
        let seconds = self.bar.elapsed().as_secs_f64().max(0.001);
        self.bar.set_message(format!("{total} rows, {:.0} rows/s", total as f64 / seconds));
    }

    /// Takes the line away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
