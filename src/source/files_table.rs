//! A table provider over a fixed list of files of one format.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use object_store::ObjectMeta;
use object_store::path::Path;

use super::csv::{CsvTable, Partition, Scan};
use super::footers::Stretch;

/// Files with one schema, and the values of their partition columns.
#[derive(Debug, Clone)]
pub(super) struct FilesTable {
    pub(super) store_url: ObjectStoreUrl,
    pub(super) format: Arc<dyn FileFormat>,
    pub(super) file_schema: SchemaRef,
    pub(super) partition_fields: Vec<Field>,
    pub(super) files: Vec<(ObjectMeta, Vec<ScalarValue>)>,
    /// For each Parquet file the types in which its columns are decoded, where they are not those that the file suggests.
    pub(super) decoded_as: Arc<HashMap<Path, SchemaRef>>,
    /// Whether rows must come in the order in which they are stored, as far as one reader sees them.
    pub(super) in_order: bool,
    /// What each reader reads, where that is said.
    pub(super) stretches: Option<Arc<Vec<Stretch>>>,
    /// Set for CSV, which is not read by the query engine's own scan; its own columns are then text.
    pub(super) csv: Option<CsvTable>,
}

impl FilesTable {
    /// The files in so many groups: the largest first, each to the group with the least to read; all in one where order is wanted, since
    /// the scan cuts them.
    fn groups(&self, partitions: usize) -> Vec<Vec<(ObjectMeta, Vec<ScalarValue>)>> {
        if self.in_order {
            return vec![self.files.clone()];
        }
        let mut groups = vec![Vec::new(); partitions.min(self.files.len()).max(1)];
        let mut order: Vec<usize> = (0..self.files.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(self.files[index].0.size));
        let mut loads = vec![0_u64; groups.len()];
        for index in order {
            let lightest = (0..loads.len()).min_by_key(|&group| loads[group]).unwrap_or(0);
            loads[lightest] += self.files[index].0.size;
            groups[lightest].push(self.files[index].clone());
        }
        groups
    }

    /// The files that a filter on partition columns alone does not rule out. The filter above the scan stays, so this
    /// only spares reading what it would drop.
    fn pruned(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<(ObjectMeta, Vec<ScalarValue>)>> {
        let of_partitions = |filter: &&Expr| {
            let columns = filter.column_refs();
            !columns.is_empty() && columns.iter().all(|column| self.partition_fields.iter().any(|field| *field.name() == column.name))
        };
        let filters: Vec<&Expr> = filters.iter().filter(of_partitions).collect();
        if filters.is_empty() {
            return Ok(self.files.clone());
        }
        let schema = Arc::new(Schema::new(self.partition_fields.clone()));
        let columns = (0..self.partition_fields.len())
            .map(|at| ScalarValue::iter_to_array(self.files.iter().map(|(_, values)| values[at].clone())))
            .collect::<Result<Vec<_>>>()?;
        let values = RecordBatch::try_new(schema.clone(), columns)?;
        let mut kept = vec![true; self.files.len()];
        let schema = DFSchema::try_from(schema)?;
        for filter in filters {
            let unqualified = filter.clone().transform(|part| {
                Ok(match part {
                    Expr::Column(column) => Transformed::yes(Expr::Column(Column::new_unqualified(column.name))),
                    other => Transformed::no(other),
                })
            })?;
            let outcome = state.create_physical_expr(unqualified.data, &schema)?.evaluate(&values)?;
            let outcome = cast(&outcome.into_array(self.files.len())?, &DataType::Boolean)?;
            for (kept, holds) in kept.iter_mut().zip(outcome.as_boolean()) {
                *kept &= holds.unwrap_or(false);
            }
        }
        Ok(self.files.iter().zip(kept).filter(|(_, kept)| *kept).map(|(file, _)| file.clone()).collect())
    }

    fn table_schema(&self) -> TableSchema {
        TableSchema::builder(self.file_schema.clone())
            .with_table_partition_cols(self.partition_fields.iter().cloned().map(Arc::new).collect::<Vec<_>>())
            .build()
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        let own = self.csv.as_ref().map_or_else(|| self.file_schema.clone(), |csv| csv.typed(&self.file_schema));
        let fields: Vec<Arc<Field>> = own.fields().iter().cloned().chain(self.partition_fields.iter().cloned().map(Arc::new)).collect();
        Arc::new(Schema::new(fields))
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // The scan may skip what statistics rule out; the filter above it still looks at every row.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let partitions = state.config().target_partitions().max(1);
        let pruned = Self { files: self.pruned(state, filters)?, ..self.clone() };
        if pruned.files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema().project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        if let Some(csv) = &self.csv {
            let scan = Arc::new(Scan::new(csv, &self.file_schema, &self.schema(), projection, filters, state)?);
            let part = |pieces| Arc::new(Partition { scan: scan.clone(), pieces }) as Arc<dyn PartitionStream>;
            let parts = csv.groups(pruned.files, partitions).into_iter().map(part).collect();
            return Ok(Arc::new(StreamingTableExec::try_new(scan.schema().clone(), parts, None, [], false, limit)?));
        }
        let groups = pruned.groups(partitions);
        let to_read = |(meta, values): (ObjectMeta, Vec<ScalarValue>)| {
            let decoded_as = self.decoded_as.get(&meta.location).cloned();
            let mut file = PartitionedFile::from(meta);
            file.partition_values = values;
            file.arrow_schema = decoded_as;
            file
        };
        let groups: Vec<FileGroup> = match &self.stretches {
            None => groups.into_iter().map(|files| FileGroup::new(files.into_iter().map(to_read).collect())).collect(),
            Some(stretches) => {
                let known: HashMap<&Path, &(ObjectMeta, Vec<ScalarValue>)> =
                    pruned.files.iter().map(|file| (&file.0.location, file)).collect();
                let part = |stretch: &Stretch| {
                    let files = stretch
                        .iter()
                        .filter_map(|(path, from, until)| known.get(path).map(|file| to_read((*file).clone()).with_range(*from, *until)));
                    FileGroup::new(files.collect())
                };
                stretches.iter().map(part).collect()
            }
        };
        let source = self.format.file_source(self.table_schema());
        let config = FileScanConfigBuilder::new(self.store_url.clone(), source)
            .with_file_groups(groups)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        let plan = self.format.create_physical_plan(state, config).await?;
        // A bare scan is not split by the optimizer, since nothing above it asks for partitions.
        if limit.is_some() || self.stretches.is_some() {
            return Ok(plan);
        }
        Ok(plan.repartitioned(partitions, state.config_options())?.unwrap_or(plan))
    }
}
