//! The query engine, set up for honest reading.

use std::sync::Arc;

use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::error::{Error, Result};
use crate::job::RunOptions;
use crate::source::LocalFiles;

/// A session with so many threads and so much memory.
///
/// # Errors
/// The engine could not be set up, for instance without a directory for temporary files.
pub fn session(options: &RunOptions) -> Result<SessionContext> {
    let mut config = SessionConfig::new().with_target_partitions(options.threads).with_batch_size(options.batch_size);
    let settings = config.options_mut();
    // Column names are written as they are in the data, in rules and filters too.
    settings.sql_parser.enable_ident_normalization = false;
    // Statistics are read when a scan prunes by them, not when a side is opened.
    settings.execution.collect_statistics = false;
    settings.execution.parquet.schema_force_view_types = false;
    let memory = usize::try_from(options.memory_bytes).unwrap_or(usize::MAX);
    let pool = TrackConsumersPool::new(FairSpillPool::new(memory), std::num::NonZeroUsize::MIN);
    let runtime =
        RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).build_arc().map_err(Error::engine("setting up the query engine"))?;
    LocalFiles::register(&runtime);
    Ok(SessionContext::new_with_config_rt(config, runtime))
}
