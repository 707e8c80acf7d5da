//! Conditions on one column evaluated once for each of its values: of a thousand events nearly all columns that rules ask for hold a
//! handful of values, and each condition is asked by many rules.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use trailhound_datasets::columns::EVENTS;

/// Columns of `events` that hold few values, however much comes.
const FEW: [&str; 15] = [
    "event_action",
    "event_name",
    "event_type",
    "event_category",
    "event_rw",
    "service_name",
    "user_type",
    "credential_kind",
    "outcome",
    "error_code",
    "source_class",
    "mfa",
    "acs_region",
    "role_name",
    "user_agent",
];
/// Fewer rows than this are not worth the looking for values.
const ROWS_MIN: usize = 64;

/// `predicate` with every condition on one column of few values evaluated once a value.
pub(crate) fn by_value(predicate: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
    let values: Vec<Arc<Values>> = FEW.iter().map(|_| Arc::new(Values::default())).collect();
    let rewritten = predicate.transform_down(|expr| {
        let columns = collect_columns(&expr);
        let (Some(column), 1) = (columns.iter().next(), columns.len()) else { return Ok(Transformed::no(expr)) };
        let Some(at) = FEW.iter().position(|name| *name == column.name()) else { return Ok(Transformed::no(expr)) };
        let is_condition = expr.downcast_ref::<Column>().is_none() && expr.data_type(&EVENTS.arrow)? == DataType::Boolean;
        if !is_condition {
            return Ok(Transformed::no(expr));
        }
        let by_value = ByValue::new(Arc::clone(&expr), column.name(), Arc::clone(&values[at]))?;
        Ok(Transformed::new(Arc::new(by_value), true, TreeNodeRecursion::Jump))
    })?;
    Ok(rewritten.data)
}

/// Batches whose values are remembered: several threads may be at work.
const REMEMBERED: usize = 4;

/// The values of a column, found once for all conditions on it.
#[derive(Debug, Default)]
struct Values(Mutex<VecDeque<Found>>);

#[derive(Debug, Clone)]
struct Found {
    of: ArrayRef,
    values: ArrayRef,
    /// Which of them each row has; NULL for none.
    places: UInt32Array,
}

impl Values {
    fn of(&self, column: &ArrayRef) -> Result<Found> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.iter().find(|found| Arc::ptr_eq(&found.of, column)) {
            return Ok(found.clone());
        }
        let coded = cast(column, &DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8)))?;
        let coded = coded.as_dictionary::<UInt32Type>();
        let found = Found { of: Arc::clone(column), values: Arc::clone(coded.values()), places: coded.keys().clone() };
        known.push_front(found.clone());
        known.truncate(REMEMBERED);
        Ok(found)
    }
}

/// A condition on one column.
#[derive(Debug)]
struct ByValue {
    /// As it stands among all columns.
    condition: Arc<dyn PhysicalExpr>,
    /// Over the column alone.
    alone: Arc<dyn PhysicalExpr>,
    /// The column alone.
    schema: SchemaRef,
    values: Arc<Values>,
}

impl ByValue {
    fn new(condition: Arc<dyn PhysicalExpr>, name: &str, values: Arc<Values>) -> Result<Self> {
        let alone = Arc::clone(&condition).transform_down(|expr| {
            let is_column = expr.downcast_ref::<Column>().is_some();
            let alone: Arc<dyn PhysicalExpr> = if is_column { Arc::new(Column::new(name, 0)) } else { Arc::clone(&expr) };
            Ok(if is_column { Transformed::yes(alone) } else { Transformed::no(expr) })
        })?;
        let schema = Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, true)]));
        Ok(Self { condition, alone: alone.data, schema, values })
    }

    /// Place of the column in batches.
    fn column(&self, batch: &RecordBatch) -> Result<ArrayRef> {
        let name = self.schema.field(0).name();
        batch.column_by_name(name).cloned().ok_or_else(|| DataFusionError::Plan(format!("there is no column `{name}`")))
    }
}

impl PhysicalExpr for ByValue {
    fn data_type(&self, _: &Schema) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.condition.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if batch.num_rows() < ROWS_MIN {
            return self.condition.evaluate(batch);
        }
        let Found { values, places, .. } = self.values.of(&self.column(batch)?)?;
        // What NULL gives is asked as a value of its own, the last.
        let rows = values.len() + 1;
        let with_null = take(&values, &UInt32Array::from_iter((0..values.len() as u32).map(Some).chain([None])), None)?;
        let asked = RecordBatch::try_new(Arc::clone(&self.schema), vec![with_null])?;
        let answers = self.alone.evaluate(&asked)?.into_array(rows)?;
        let answers: &BooleanArray =
            answers.as_boolean_opt().ok_or_else(|| DataFusionError::Plan(format!("`{}` is no condition", self.condition)))?;
        let answer = |place: Option<u32>| {
            let at = place.map_or(rows - 1, |place| place as usize);
            answers.is_valid(at).then(|| answers.value(at))
        };
        Ok(ColumnarValue::Array(Arc::new(places.iter().map(answer).collect::<BooleanArray>())))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let [condition] = <[_; 1]>::try_from(children).map_err(|_| DataFusionError::Plan("one condition".to_owned()))?;
        Ok(Arc::new(Self { condition, alone: Arc::clone(&self.alone), schema: Arc::clone(&self.schema), values: Arc::clone(&self.values) }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}

impl fmt::Display for ByValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PartialEq for ByValue {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for ByValue {}

impl Hash for ByValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use crate::session::{QueryLimits, Session};
    use crate::sieve::Sieve;
    use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, new_null_array};
    use std::sync::Arc;
    use trailhound_datasets::columns::EVENTS;

    fn batch(actions: &[Option<&str>], outcomes: &[Option<&str>]) -> RecordBatch {
        let column = |name: &str| -> ArrayRef {
            let field = EVENTS.arrow.field_with_name(name).expect("a column");
            match name {
                "event_action" => Arc::new(StringArray::from(actions.to_vec())),
                "outcome" => Arc::new(StringArray::from(outcomes.to_vec())),
                _ => new_null_array(field.data_type(), actions.len()),
            }
        };
        let fields: Vec<_> = EVENTS.arrow.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let columns = EVENTS.arrow.fields().iter().map(|field| column(field.name())).collect();
        RecordBatch::try_new(Arc::new(datafusion::arrow::datatypes::Schema::new(fields)), columns).expect("a batch")
    }

    /// Each row alone, which is evaluated as it stands, says what it says among many.
    #[tokio::test]
    async fn conditions_hold_of_a_value_as_they_hold_of_a_row() {
        let (session, _) = Session::over_rows(Arc::default(), &QueryLimits::default()).await.expect("a session");
        let kinds = [Some("createuser"), None, Some("deleteuser"), Some(""), Some("stopinstance")];
        let outcomes = [Some("success"), Some("failure"), None];
        let actions: Vec<Option<&str>> = (0..300).map(|row| kinds[row % kinds.len()]).collect();
        let outcomes: Vec<Option<&str>> = (0..300).map(|row| outcomes[row / 7 % outcomes.len()]).collect();
        let all = batch(&actions, &outcomes);
        let places: Vec<usize> = (0..all.num_columns()).collect();
        for predicate in [
            "event_action IN ('createuser', 'deleteuser') AND outcome = 'success'",
            "event_action LIKE 'delete%' OR outcome = 'failure'",
            "event_action IS NULL",
            "coalesce(event_action, '') <> 'createuser' AND NOT coalesce(outcome = 'failure', false)",
            "NOT (event_action = 'createuser')",
            "lower(event_action) = outcome OR length(event_action) = 0",
        ] {
            let sieve = Sieve::new(&session, predicate).expect("a predicate");
            let together = sieve.pick(&all, &places).expect("picked").map_or(0, |rows| rows.num_rows());
            let alone = |row: usize| sieve.pick(&all.slice(row, 1), &places).expect("picked").map_or(0, |rows| rows.num_rows());
            assert_eq!(together, (0..all.num_rows()).map(alone).sum::<usize>(), "{predicate}");
            assert!(together > 0 && together < all.num_rows(), "{predicate}");
        }
    }
}
