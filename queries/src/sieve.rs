//! Reading single files of `events` for the rows where a predicate holds. Planned once, so that a file of a thousand rows
//! costs what reading its columns costs.

use crate::session::{Session, SessionError};
use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{ArrowPredicateFn, ParquetRecordBatchReaderBuilder, RowFilter};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use trailhound_datasets::columns::EVENTS;

/// A predicate over rows of `events`.
#[derive(Debug, Clone)]
pub struct Sieve {
    predicate: Arc<dyn PhysicalExpr>,
}

impl Sieve {
    /// Compiles `predicate`, a SQL condition on columns of `events` with the functions of `session`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where it is no such condition.
    pub fn new(session: &Session, predicate: &str) -> Result<Self, SessionError> {
        let schema = DFSchema::try_from(EVENTS.arrow.as_ref().clone())?;
        let context = session.context();
        let expression = context.parse_sql_expr(predicate, &schema)?;
        Ok(Self { predicate: context.create_physical_expr(expression, &schema)? })
    }

    /// The rows of `batch`, which has the schema of `events`, where the predicate holds.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub fn pick(&self, batch: &RecordBatch) -> Result<RecordBatch, SessionError> {
        let holds = holds(&*self.predicate, batch)?;
        Ok(filter_record_batch(batch, &holds).map_err(DataFusionError::from)?)
    }

    /// The rows of the file `path` where the predicate holds. Only its own columns are decoded for the others.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the file is not there or is none of `events`.
    pub fn read(&self, path: &Path) -> Result<Vec<RecordBatch>, SessionError> {
        let at = |e: &dyn std::fmt::Display| DataFusionError::Execution(format!("`{}`: {e}", path.display()));
        let file = File::open(path).map_err(|e| at(&e))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| at(&e))?;
        let names = collect_columns(&self.predicate);
        let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().map(|column| column.name()));
        let own = EVENTS.arrow.fields().iter().enumerate().filter(|(_, field)| names.iter().any(|column| column.name() == field.name()));
        let schema = EVENTS.arrow.project(&own.map(|(at, _)| at).collect::<Vec<_>>()).map_err(DataFusionError::from)?;
        let predicate = reassign_expr_columns(Arc::clone(&self.predicate), &schema)?;
        let filter = ArrowPredicateFn::new(mask, move |batch| holds(&*predicate, &batch).map_err(|e| e.to_string()).map_err(external));
        let reader = builder.with_row_filter(RowFilter::new(vec![Box::new(filter)])).build().map_err(|e| at(&e))?;
        reader
            .map(|batch| {
                let batch = batch.map_err(|e| at(&e))?;
                // The file's own schema may lack what a newer one says beside names and types.
                Ok(RecordBatch::try_new(Arc::clone(&EVENTS.arrow), batch.columns().to_vec()).map_err(|e| at(&e))?)
            })
            .collect()
    }
}

fn external(error: String) -> datafusion::arrow::error::ArrowError {
    datafusion::arrow::error::ArrowError::ComputeError(error)
}

/// Which rows the predicate holds for; unknown is no.
fn holds(predicate: &dyn PhysicalExpr, batch: &RecordBatch) -> Result<BooleanArray, DataFusionError> {
    let values = predicate.evaluate(batch)?.into_array(batch.num_rows())?;
    let holds = values.as_boolean_opt().ok_or_else(|| DataFusionError::Plan("the predicate is no condition".to_owned()))?;
    Ok(if holds.null_count() == 0 { holds.clone() } else { datafusion::arrow::compute::prep_null_mask_filter(holds) })
}
