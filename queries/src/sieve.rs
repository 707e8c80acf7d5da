//! Reading single files of `events` for the rows where a predicate holds. Planned once, so that a file of a thousand rows
//! costs what reading its columns costs.

use crate::distinct::by_value;
use crate::session::{Session, SessionError};
use datafusion::arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use datafusion::arrow::compute::{cast, filter_record_batch, prep_null_mask_filter};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{ArrowPredicateFn, ParquetRecordBatchReaderBuilder, RowFilter};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use trailhound_datasets::columns::EVENTS;

/// A predicate over rows of `events`, or of some of its columns.
#[derive(Debug, Clone)]
pub struct Sieve {
    predicate: Arc<dyn PhysicalExpr>,
    /// Places of the predicate's own columns among those of `events`.
    columns: Vec<usize>,
}

impl Sieve {
    /// Compiles `predicate`, a SQL condition on columns of `events` with the functions of `session`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where it is no such condition.
    pub fn new(session: &Session, predicate: &str) -> Result<Self, SessionError> {
        let schema = DFSchema::try_from(EVENTS.arrow.as_ref().clone())?;
        let context = session.context();
        // Some functions exist for the optimizer only, which turns them into others.
        let simplifier = ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build());
        let expression = simplifier.coerce(context.parse_sql_expr(predicate, &schema)?, &schema)?;
        let predicate = context.create_physical_expr(simplifier.simplify(expression)?, &schema)?;
        let mut columns: Vec<usize> = collect_columns(&predicate).iter().map(Column::index).collect();
        columns.sort_unstable();
        Ok(Self { predicate: by_value(predicate)?, columns })
    }

    /// Places of the predicate's own columns among those of `events`.
    #[must_use]
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The same for batches that have only those `columns` of `events`, in their order; its own are among them.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub fn among(&self, columns: &BTreeSet<usize>) -> Result<Self, SessionError> {
        let predicate = reassign_expr_columns(Arc::clone(&self.predicate), &some(columns.iter().copied())?)?;
        Ok(Self { predicate, columns: self.columns.clone() })
    }

    /// The rows of `batch` where the predicate holds, of its columns those at `places`; `None` where there are none.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub fn pick(&self, batch: &RecordBatch, places: &[usize]) -> Result<Option<RecordBatch>, SessionError> {
        let holds = holds(&*self.predicate, batch)?;
        if holds.true_count() == 0 {
            return Ok(None);
        }
        let batch = batch.project(places).map_err(DataFusionError::from)?;
        Ok(Some(filter_record_batch(&batch, &holds).map_err(DataFusionError::from)?))
    }

    /// The predicate as a SQL function of its own columns, and their names in order.
    pub(crate) fn into_function(self) -> Result<(ScalarUDF, Vec<String>), SessionError> {
        let mut own: BTreeSet<usize> = self.columns.iter().copied().collect();
        if own.is_empty() {
            // A function of nothing would be asked once for all rows.
            own.insert(0);
        }
        let schema = Arc::new(some(own.iter().copied())?);
        let names = schema.fields().iter().map(|field| field.name().clone()).collect();
        let signature = Signature::any(own.len(), Volatility::Immutable);
        Ok((ScalarUDF::new_from_impl(Function { predicate: self.among(&own)?.predicate, schema, signature }), names))
    }

    /// The rows of the file `path` where the predicate holds, with the `wanted` columns, in the order of `events`. Of the other rows
    /// only the predicate's own columns are decoded.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the file is not there or is none of `events`.
    pub fn read(&self, path: &Path, wanted: &BTreeSet<usize>) -> Result<Vec<RecordBatch>, SessionError> {
        let predicate = reassign_expr_columns(Arc::clone(&self.predicate), &some(self.columns.iter().copied())?)?;
        let own = self.columns.iter().copied().collect();
        Self::filtered(path, &own, wanted, move |batch| holds(&*predicate, batch))
    }

    /// The same of those rows only that `choose` chooses besides, which sees the predicate's own columns and `looked_at`, each row once and
    /// in their order.
    ///
    /// # Errors
    /// As [`Sieve::read`].
    pub fn read_chosen(
        &self,
        path: &Path,
        looked_at: &BTreeSet<usize>,
        wanted: &BTreeSet<usize>,
        mut choose: impl FnMut(&RecordBatch) -> Result<BooleanArray, DataFusionError> + Send + 'static,
    ) -> Result<Vec<RecordBatch>, SessionError> {
        let seen: BTreeSet<usize> = self.columns.iter().chain(looked_at).copied().collect();
        let predicate = reassign_expr_columns(Arc::clone(&self.predicate), &some(seen.iter().copied())?)?;
        Self::filtered(path, &seen, wanted, move |batch| {
            let holds = holds(&*predicate, batch)?;
            let chosen = choose(&filter_record_batch(batch, &holds)?)?;
            // Those chosen among the ones that hold, at their places among all.
            let mut chosen = chosen.iter();
            Ok(holds.iter().map(|holds| if holds == Some(true) { chosen.next().flatten() } else { Some(false) }).collect())
        })
    }

    /// The rows of a file that `filter` leaves, which sees the columns `seen`.
    fn filtered(
        path: &Path,
        seen: &BTreeSet<usize>,
        wanted: &BTreeSet<usize>,
        mut filter: impl FnMut(&RecordBatch) -> Result<BooleanArray, DataFusionError> + Send + 'static,
    ) -> Result<Vec<RecordBatch>, SessionError> {
        let at = |e: &dyn std::fmt::Display| DataFusionError::Execution(format!("`{}`: {e}", path.display()));
        let file = File::open(path).map_err(|e| at(&e))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| at(&e))?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), seen.iter().copied());
        let names = Arc::new(some(seen.iter().copied())?);
        let filter = ArrowPredicateFn::new(mask, move |batch| {
            let batch = RecordBatch::try_new(Arc::clone(&names), batch.columns().to_vec())?;
            filter(&batch).map_err(|e| ArrowError::ComputeError(e.to_string()))
        });
        let projection = ProjectionMask::roots(builder.parquet_schema(), wanted.iter().copied());
        let reader = builder.with_projection(projection).with_row_filter(RowFilter::new(vec![Box::new(filter)])).build();
        let schema = Arc::new(some(wanted.iter().copied())?);
        let expected = |batch: RecordBatch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec());
        let batches = reader.map_err(|e| at(&e))?.map(|batch| Ok(batch.and_then(expected).map_err(|e| at(&e))?));
        batches.collect()
    }
}

/// A predicate as a function of SQL.
#[derive(Debug)]
struct Function {
    predicate: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    signature: Signature,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.predicate.as_ref() == other.predicate.as_ref() && self.schema == other.schema
    }
}

impl Eq for Function {}

impl std::hash::Hash for Function {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.predicate.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        "holds"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        // The engine may read text as views.
        let column =
            |(value, field): (&ColumnarValue, &Arc<Field>)| cast(&value.to_array(args.number_rows)?, field.data_type()).map_err(Into::into);
        let columns = args.args.iter().zip(self.schema.fields()).map(column).collect::<Result<Vec<_>, DataFusionError>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        Ok(ColumnarValue::Array(Arc::new(holds(&*self.predicate, &batch)?)))
    }
}

/// `events` with some of its columns.
fn some(columns: impl Iterator<Item = usize>) -> Result<Schema, DataFusionError> {
    Ok(EVENTS.arrow.project(&columns.collect::<Vec<_>>())?)
}

/// Which rows the predicate holds for; unknown is no.
fn holds(predicate: &dyn PhysicalExpr, batch: &RecordBatch) -> Result<BooleanArray, DataFusionError> {
    let values = predicate.evaluate(batch)?.into_array(batch.num_rows())?;
    let holds = values.as_boolean_opt().ok_or_else(|| DataFusionError::Plan("the predicate is no condition".to_owned()))?;
    Ok(if holds.null_count() == 0 { holds.clone() } else { prep_null_mask_filter(holds) })
}
