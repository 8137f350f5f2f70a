//! One pass over a side: what is read, and how its batches are folded.

use std::sync::Arc;
use std::time::Instant as Clock;

use arrow::record_batch::RecordBatch;
use datafusion::error::DataFusionError;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, execute_stream_partitioned};
use datafusion::prelude::{Expr, ident};
use futures::TryStreamExt;
use tokio::task::JoinSet;

use super::rules::{rule_expression, rules_of};
use crate::domain::Side;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::source::{Guard, Opened, describe_engine_error};
use crate::staging::{Prepared, refuse_unsafe_joins};

/// What one pass cost.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of `stages` in run.json, documented in docs/report.md")]
pub struct Stage {
    pub name: &'static str,
    pub side: Option<Side>,
    pub rows: u64,
    pub bytes: u64,
    pub elapsed_ms: u64,
}

/// What a pass reads of a side.
#[derive(Debug, Clone, Default)]
pub(super) struct Want {
    /// Places of the paired columns.
    pub(super) columns: Vec<usize>,
    /// A boolean column for each rule of the side behind them.
    pub(super) rules: bool,
    /// The columns are only hashed, so that their physical form does not matter.
    pub(super) hashed: bool,
    /// Rows for which this does not hold are left out.
    pub(super) filter: Option<Expr>,
}

/// The plan of a pass over a side.
pub(super) async fn scan(prepared: &Prepared, opened: &Opened, want: &Want) -> Result<Arc<dyn ExecutionPlan>> {
    let mut expressions: Vec<Expr> = want.columns.iter().map(|&place| ident(prepared.paired[place].name.clone())).collect();
    if want.rules {
        for (index, rule) in rules_of(prepared, opened.side).iter().enumerate() {
            expressions.push(rule_expression(rule, opened)?.alias(format!("__rule_{index}")));
        }
    }
    let what = format!("reading the {}", opened.side);
    // Rules are written for the types that are shown; checksums do not depend on the physical form.
    let has_rules = want.rules && !rules_of(prepared, opened.side).is_empty();
    let mut frame = if want.hashed && !has_rules { opened.compact.clone() } else { opened.frame.clone() };
    if let Some(filter) = &want.filter {
        frame = frame.filter(filter.clone()).map_err(Error::engine(what.clone()))?;
    }
    let frame = frame.select(expressions).map_err(Error::engine(what.clone()))?;
    let physical = frame.create_physical_plan().await.map_err(Error::engine(what.clone()))?;
    refuse_unsafe_joins(&what, physical.as_ref())?;
    Ok(physical)
}

/// Bytes that the scans of a plan took from files, where they count them.
fn bytes_scanned(plan: &dyn ExecutionPlan) -> u64 {
    let own = plan.metrics().and_then(|metrics| metrics.sum_by_name("bytes_scanned")).map_or(0, |value| value.as_usize() as u64);
    own + plan.children().iter().map(|child| bytes_scanned(child.as_ref())).sum::<u64>()
}

/// Folds the partitions of a plan side by side, each into a state of its own. The states are to be merged by the caller, in
/// any order.
///
/// # Errors
/// The side could not be read to its end, or `add` failed.
pub(super) async fn fold<S, A>(
    name: &'static str,
    side: Side,
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    progress: &Progress,
    make: impl Fn() -> S,
    add: A,
) -> Result<(Vec<S>, Stage)>
where
    S: Send + 'static,
    A: Fn(&mut S, RecordBatch) -> Result<(), DataFusionError> + Clone + Send + 'static,
{
    let clock = Clock::now();
    let failed = |error: DataFusionError| match error {
        // An error of ours keeps its own words on the way through the engine.
        DataFusionError::External(own) if own.is::<Error>() => match own.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => Error::ReadFailed { side: side.to_string(), problem: other.to_string() },
        },
        error => match error.find_root() {
            DataFusionError::ResourcesExhausted(problem) => Error::OutOfMemory { side: side.to_string(), problem: problem.clone() },
            _ => Error::ReadFailed { side: side.to_string(), problem: describe_engine_error(&error) },
        },
    };
    let guard = Guard::new();
    let streams = execute_stream_partitioned(plan.clone(), context).map_err(failed)?;
    let mut tasks = JoinSet::new();
    for mut stream in streams {
        let (mut state, add, progress) = (make(), add.clone(), progress.clone());
        tasks.spawn(async move {
            let mut rows = 0;
            while let Some(batch) = stream.try_next().await? {
                rows += batch.num_rows() as u64;
                progress.advance(batch.num_rows() as u64);
                add(&mut state, batch)?;
            }
            Ok::<_, DataFusionError>((state, rows))
        });
    }
    let mut states = Vec::new();
    let mut rows = 0;
    while let Some(joined) = tasks.join_next().await {
        let (state, seen) = joined
            .map_err(|e| DataFusionError::Execution(format!("the decoder gave up on damaged data ({e})")))
            .and_then(|outcome| outcome)
            .map_err(failed)?;
        states.push(state);
        rows += seen;
    }
    drop(guard);
    let elapsed_ms = u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok((states, Stage { name, side: Some(side), rows, bytes: bytes_scanned(plan.as_ref()), elapsed_ms }))
}
