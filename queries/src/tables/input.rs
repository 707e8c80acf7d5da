//! The table `events` over rows in memory, which each run of a plan supplies.
//!
//! The plan holds no rows. A run puts its rows into the configuration of its task, where the scan
//! of the table finds them. Runs of the same plan can therefore overlap, each over its own
//! rows.

use async_trait::async_trait;
use datafusion::arrow::array::{RecordBatch, RecordBatchOptions, new_null_array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Field, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::catalog::{Session as CatalogSession, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::prelude::SessionConfig;
use std::sync::Arc;
use trailhound_datasets::columns::EVENTS;

/// The rows of one run.
struct InputRows(Vec<RecordBatch>);

/// `config` with the `rows` that [`InputTable`] has in a run with it. Columns of `events` that a
/// batch lacks are NULL; texts may be dictionary-encoded.
pub(crate) fn with_rows(config: SessionConfig, rows: Vec<RecordBatch>) -> SessionConfig {
    config.with_extension(Arc::new(InputRows(rows)))
}

/// The table. A run without rows in its configuration sees none.
#[derive(Debug)]
pub(crate) struct InputTable;

#[async_trait]
impl TableProvider for InputTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&EVENTS.arrow)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn CatalogSession,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        let schema = match projection {
            Some(columns) => Arc::new(EVENTS.arrow.project(columns)?),
            None => TableProvider::schema(self),
        };
        let partition: Arc<dyn PartitionStream> =
            Arc::new(InputPartition { schema: Arc::clone(&schema) });
        Ok(Arc::new(StreamingTableExec::try_new(
            schema,
            vec![partition],
            None,
            Vec::new(),
            false,
            limit,
        )?))
    }
}

/// Some columns of the table.
#[derive(Debug)]
struct InputPartition {
    schema: SchemaRef,
}

impl PartitionStream for InputPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let input = task.session_config().get_extension::<InputRows>();
        let rows = input.map_or_else(Vec::new, |input| input.0.clone());
        let schema = Arc::clone(&self.schema);
        let batches = rows.into_iter().map(move |batch| Ok(with_columns(&batch, &schema)?));
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            futures::stream::iter(batches),
        ))
    }
}

/// `batch` with the columns of `schema`: those it lacks are NULL.
fn with_columns(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let column = |field: &Arc<Field>| match batch.column_by_name(field.name()) {
        Some(column) => cast(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(
        Arc::clone(schema),
        schema.fields().iter().map(column).collect::<Result<_, _>>()?,
        &options,
    )
}
