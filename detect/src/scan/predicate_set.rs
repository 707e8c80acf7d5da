//! Many predicates over rows of `events` at once.
//!
//! Low-cardinality columns decide most of the work. Of 10,000 events, `event_action` holds 40
//! distinct values: what a predicate demands of it is evaluated once per distinct value, for all 85
//! rules, and the result is looked up per row. Of `event_action = 'consolesignin' AND
//! param(request_parameters, 'mfa') = 'no'` the second half is evaluated for the sign-ins alone,
//! and only their request parameters are decoded.

use crate::scan::events_file::RowRange;
use crate::scan::implied_predicate::{implied_condition, is_decided_by, over_single_column};
use crate::scan::match_bitmap::MatchBitmap;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{cast, prep_null_mask_filter, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Operator;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::limits::SessionError;
use trailhound_queries::projection::{
    dictionary_text, events_projection, required_column, take_rows,
};
use trailhound_queries::session::Session;
use trailhound_queries::tables::cardinality::{HIGH_CARDINALITY, LOW_CARDINALITY};

/// Up to this many rows, which is what a commit of a service brings, it is cheaper to decode all
/// rows than to select some.
const SMALL_RANGE_ROWS: usize = 2048;
/// Results kept per low-cardinality column, one for each dictionary seen: several threads read
/// several files.
const CACHED_DICTIONARIES: usize = 4;

/// A compiled condition on columns of `events`.
#[derive(Debug, Clone)]
pub(crate) struct EventPredicate(Arc<dyn PhysicalExpr>);

impl EventPredicate {
    /// Compiles `sql`, a condition on columns of `events` with the functions of `session`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where it is no such condition.
    pub(crate) fn new(session: &Session, sql: &str) -> Result<Self, SessionError> {
        static SCHEMA: LazyLock<Result<Arc<DFSchema>, DataFusionError>> =
            LazyLock::new(|| DFSchema::try_from(EVENTS.arrow.as_ref().clone()).map(Arc::new));
        let schema = SCHEMA.as_ref().map_err(|e| DataFusionError::Internal(e.to_string()))?;
        let context = session.context();
        // Some functions exist for the optimizer only, which turns them into others.
        let simplifier =
            ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(schema)).build());
        let expression = simplifier.coerce(context.parse_sql_expr(sql, schema)?, schema)?;
        let compiled = context.create_physical_expr(simplifier.simplify(expression)?, schema)?;
        if compiled.data_type(&EVENTS.arrow)? != DataType::Boolean {
            return Err(DataFusionError::Plan(format!("`{sql}` is no condition")).into());
        }
        Ok(Self(compiled))
    }

    /// The predicate that matches the rows which both match.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(Arc::new(BinaryExpr::new(Arc::clone(&self.0), Operator::And, Arc::clone(&other.0))))
    }
}

/// Predicates, each known by its number.
#[derive(Debug)]
pub(crate) struct PredicateSet {
    predicates: Vec<Predicate>,
    low_cardinality: Vec<LowCardinalityColumn>,
    /// Positions of the columns that any predicate reads in `events`.
    columns: BTreeSet<usize>,
}

#[derive(Debug)]
struct Predicate {
    /// Over the predicate's own columns.
    expr: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    /// Positions of these columns in `events`.
    columns: BTreeSet<usize>,
    /// The conditions it implies on low-cardinality columns decide it: nothing is left to evaluate
    /// per row.
    is_decided_early: bool,
    reads_long_column: bool,
}

/// A column with few distinct values, and what the predicates demand of it.
#[derive(Debug)]
struct LowCardinalityColumn {
    /// Position of the column in `events`.
    position: usize,
    /// The column alone.
    schema: SchemaRef,
    implied: Vec<ImpliedCondition>,
    /// Results by dictionary, the newest first.
    cache: Mutex<VecDeque<DictionaryMatches>>,
}

/// A condition on one column without which some predicates cannot match.
#[derive(Debug)]
struct ImpliedCondition {
    expr: Arc<dyn PhysicalExpr>,
    predicates: Vec<usize>,
}

/// The predicates that each value of a dictionary leaves possible.
#[derive(Debug, Clone)]
struct DictionaryMatches {
    values: ArrayRef,
    /// A row for each value, and a last one for NULL.
    possible: Arc<MatchBitmap>,
}

/// Predicates whose matching rows are reduced before their other columns are read.
#[derive(Debug, Default)]
pub(crate) struct ReducedPredicates {
    pub(crate) predicates: Vec<usize>,
    /// Positions of the columns in `events` that the reduction reads.
    pub(crate) columns: BTreeSet<usize>,
}

impl PredicateSet {
    /// The set of `predicates`, numbered in their order.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub(crate) fn new<'p>(
        predicates: impl IntoIterator<Item = &'p EventPredicate>,
    ) -> Result<Self, SessionError> {
        let mut set =
            Self { predicates: Vec::new(), low_cardinality: Vec::new(), columns: BTreeSet::new() };
        for predicate in predicates {
            set.add(Arc::clone(&predicate.0))?;
        }
        Ok(set)
    }

    fn add(&mut self, expr: Arc<dyn PhysicalExpr>) -> Result<(), SessionError> {
        let columns: BTreeSet<usize> = collect_columns(&expr).iter().map(Column::index).collect();
        let number = self.predicates.len();
        let schema = events_projection(&columns)?;
        for (&position, field) in columns
            .iter()
            .zip(schema.fields())
            .filter(|(_, field)| LOW_CARDINALITY.contains(field.name().as_str()))
        {
            if let Some(implied) = implied_condition(&expr, field.name()) {
                let alone = over_single_column(&implied, field.name())?;
                self.add_implied(position, field.name(), alone, number);
            }
        }
        let is_long = |field: &Arc<Field>| HIGH_CARDINALITY.contains(field.name().as_str());
        self.columns.extend(&columns);
        self.predicates.push(Predicate {
            is_decided_early: is_decided_by(&expr, |name| LOW_CARDINALITY.contains(name)),
            reads_long_column: schema.fields().iter().any(is_long),
            expr: reassign_expr_columns(expr, &schema)?,
            schema,
            columns,
        });
        Ok(())
    }

    /// Notes that `predicate` implies `expr` of the column `name`, which is at `position`.
    fn add_implied(
        &mut self,
        position: usize,
        name: &str,
        expr: Arc<dyn PhysicalExpr>,
        predicate: usize,
    ) {
        let known = self.low_cardinality.iter().position(|column| column.position == position);
        let at = known.unwrap_or_else(|| {
            let schema = Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, true)]));
            let (implied, cache) = (Vec::new(), Mutex::default());
            self.low_cardinality.push(LowCardinalityColumn { position, schema, implied, cache });
            self.low_cardinality.len() - 1
        });
        let implied = &mut self.low_cardinality[at].implied;
        match implied.iter_mut().find(|known| known.expr.as_ref() == expr.as_ref()) {
            Some(known) => known.predicates.push(predicate),
            None => implied.push(ImpliedCondition { expr, predicates: vec![predicate] }),
        }
    }

    /// Positions of the columns that any predicate reads in `events`.
    pub(crate) fn columns(&self) -> &BTreeSet<usize> {
        &self.columns
    }

    /// Evaluates the predicates over `batch`, which has all their columns. NULL counts as no match.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Result<MatchBitmap, SessionError> {
        let mut bitmap = MatchBitmap::all(batch.num_rows(), self.predicates.len());
        rule_out(&self.low_cardinality, batch, &mut bitmap)?;
        self.evaluate_undecided(|_| true, batch, &mut bitmap)?;
        Ok(bitmap)
    }

    /// Numbers of the predicates among `which` that low-cardinality columns do not decide.
    fn undecided(
        &self,
        which: impl Fn(&Predicate) -> bool,
    ) -> impl Iterator<Item = (usize, &Predicate)> {
        self.predicates
            .iter()
            .enumerate()
            .filter(move |(_, predicate)| !predicate.is_decided_early && which(predicate))
    }

    /// Removes the matches of the undecided predicates among `which` from `bitmap` where they do
    /// not match.
    fn evaluate_undecided(
        &self,
        which: impl Fn(&Predicate) -> bool,
        batch: &RecordBatch,
        bitmap: &mut MatchBitmap,
    ) -> Result<(), SessionError> {
        for (number, predicate) in self.undecided(which) {
            let rows = bitmap.rows(number);
            if !rows.is_empty() {
                bitmap.retain(number, &rows, &predicate.evaluate(batch, &rows)?);
            }
        }
        Ok(())
    }

    /// Evaluates the predicates among `is_wanted` over a range of rows of a file, and decodes few
    /// columns for many rows and many columns for few rows only.
    ///
    /// `reduce` is given the rows that a predicate of `reduced` matches, each once and in order,
    /// with at least the columns `reduced` names; it can remove matches. `each` is given the rows
    /// that still have a match, with at least the columns at the positions `columns`; texts may be
    /// dictionary-encoded.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the file cannot be read, and the errors of `reduce` and
    /// `each`.
    pub(crate) fn read(
        &self,
        range: &RowRange<'_>,
        reduced: &ReducedPredicates,
        columns: &BTreeSet<usize>,
        is_wanted: impl Fn(usize) -> bool,
        mut reduce: impl FnMut(&RecordBatch, &mut MatchBitmap) -> Result<(), SessionError>,
        mut each: impl FnMut(&RecordBatch, &MatchBitmap) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        let unwanted: Vec<usize> =
            (0..self.predicates.len()).filter(|number| !is_wanted(*number)).collect();
        let mut bitmap = MatchBitmap::all(range.rows.len(), self.predicates.len());
        bitmap.remove_predicates(&unwanted);
        if range.rows.len() <= SMALL_RANGE_ROWS {
            let all = self.columns.iter().chain(&reduced.columns).chain(columns).copied().collect();
            return range.visit(&all, &mut bitmap, None, |batch, bitmap| {
                *bitmap = self.evaluate(batch)?;
                bitmap.remove_predicates(&unwanted);
                reduce(batch, bitmap)?;
                each(batch, bitmap)
            });
        }
        self.rule_out_in(range, &mut bitmap)?;
        for reads_long_column in [false, true] {
            let which = |predicate: &Predicate| predicate.reads_long_column == reads_long_column;
            let (numbers, predicates): (Vec<usize>, Vec<&Predicate>) =
                self.undecided(which).unzip();
            let own = predicates.iter().flat_map(|predicate| &predicate.columns).copied().collect();
            let possible = bitmap.any_of(&numbers);
            range.visit(&own, &mut bitmap, Some(&possible), |batch, bitmap| {
                self.evaluate_undecided(which, batch, bitmap)
            })?;
        }
        let matched = bitmap.any_of(&reduced.predicates);
        range.visit(&reduced.columns, &mut bitmap, Some(&matched), |batch, bitmap| {
            reduce(batch, bitmap)
        })?;
        let matched = bitmap.any();
        range.visit(columns, &mut bitmap, Some(&matched), |batch, bitmap| each(batch, bitmap))
    }

    /// Removes the matches from `bitmap` that the low-cardinality columns of the range rule out.
    fn rule_out_in(
        &self,
        range: &RowRange<'_>,
        bitmap: &mut MatchBitmap,
    ) -> Result<(), SessionError> {
        // First the column that most predicates demand something of: it leaves the fewest rows.
        let mut columns: Vec<&LowCardinalityColumn> = self.low_cardinality.iter().collect();
        columns.sort_by_key(|column| {
            column.implied.iter().map(|implied| implied.predicates.len()).sum::<usize>()
        });
        let first: Vec<&LowCardinalityColumn> = columns.pop().into_iter().collect();
        for columns in [first, columns] {
            let positions = columns.iter().map(|column| column.position).collect();
            let possible = bitmap.any();
            range.visit(&positions, bitmap, Some(&possible), |batch, bitmap| {
                rule_out(columns.iter().copied(), batch, bitmap)
            })?;
        }
        Ok(())
    }
}

/// Removes the matches from `bitmap` that the values of `columns` in `batch` rule out.
fn rule_out<'c>(
    columns: impl IntoIterator<Item = &'c LowCardinalityColumn>,
    batch: &RecordBatch,
    bitmap: &mut MatchBitmap,
) -> Result<(), SessionError> {
    Ok(columns.into_iter().try_for_each(|column| column.rule_out(batch, bitmap))?)
}

impl Predicate {
    /// Evaluates it over the `rows` of `batch`.
    fn evaluate(
        &self,
        batch: &RecordBatch,
        rows: &UInt32Array,
    ) -> Result<BooleanArray, DataFusionError> {
        evaluate(&*self.expr, &take_rows(batch, &self.schema, rows)?, rows.len())
    }
}

impl LowCardinalityColumn {
    fn rule_out(
        &self,
        batch: &RecordBatch,
        bitmap: &mut MatchBitmap,
    ) -> Result<(), DataFusionError> {
        let encoded =
            cast(required_column(batch, self.schema.field(0).name())?, &dictionary_text())?;
        let encoded = encoded.as_dictionary::<UInt32Type>();
        let possible = self.possible(encoded.values(), bitmap.predicates())?;
        let null = encoded.values().len();
        bitmap.intersect(
            &possible,
            encoded.keys().iter().map(|value| value.map_or(null, |value| value as usize)),
        );
        Ok(())
    }

    /// The predicates that each of `values`, and NULL after them, leaves possible.
    fn possible(
        &self,
        values: &ArrayRef,
        predicates: usize,
    ) -> Result<Arc<MatchBitmap>, DataFusionError> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = cache.iter().find(|known| Arc::ptr_eq(&known.values, values)) {
            return Ok(Arc::clone(&known.possible));
        }
        let count = values.len() + 1;
        let with_null = take(
            values,
            &UInt32Array::from_iter((0..values.len() as u32).map(Some).chain([None])),
            None,
        )?;
        let distinct = RecordBatch::try_new(Arc::clone(&self.schema), vec![with_null])?;
        let mut possible = MatchBitmap::all(count, predicates);
        for implied in &self.implied {
            let holds = evaluate(&*implied.expr, &distinct, count)?;
            for row in (0..count).filter(|&row| !holds.value(row)) {
                implied.predicates.iter().for_each(|&predicate| possible.remove(predicate, row));
            }
        }
        let possible = Arc::new(possible);
        cache.push_front(DictionaryMatches {
            values: Arc::clone(values),
            possible: Arc::clone(&possible),
        });
        cache.truncate(CACHED_DICTIONARIES);
        Ok(possible)
    }
}

/// For each of the `rows` rows of `batch`, whether `expr` is true; NULL counts as false.
fn evaluate(
    expr: &dyn PhysicalExpr,
    batch: &RecordBatch,
    rows: usize,
) -> Result<BooleanArray, DataFusionError> {
    let values = expr.evaluate(batch)?.into_array(rows)?;
    let holds = values
        .as_boolean_opt()
        .ok_or_else(|| DataFusionError::Plan(format!("`{expr}` is no condition")))?;
    Ok(if holds.null_count() == 0 { holds.clone() } else { prep_null_mask_filter(holds) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::events_file::{BATCH_ROWS, EventsFile};
    use datafusion::arrow::array::{Int64Array, StringArray, new_null_array};
    use datafusion::parquet::arrow::ArrowWriter;
    use datafusion::parquet::file::properties::WriterProperties;
    use trailhound_queries::limits::QueryLimits;

    const PREDICATES: [&str; 14] = [
        "true",
        "false",
        "event_action IN ('createuser', 'deleteuser') AND outcome = 'success'",
        "event_action LIKE 'delete%' OR outcome = 'failure'",
        "event_action IS NULL",
        "coalesce(event_action, '') <> 'createuser' AND NOT coalesce(outcome = 'failure', false)",
        "NOT (event_action = 'createuser')",
        "lower(event_action) = outcome OR length(event_action) = 0",
        "(event_action = 'createuser' AND event_id LIKE '%1') OR (event_action = 'stopinstance' AND outcome IS NULL)",
        "event_id LIKE '%7' AND outcome = 'success'",
        "event_id LIKE '%7' OR outcome = 'success'",
        "source_position > 150 AND (outcome = 'failure') IS NOT TRUE",
        "CASE WHEN event_action = 'createuser' THEN event_id LIKE '%3' ELSE outcome = 'failure' END",
        "event_action = 'nobody'",
    ];

    /// Rows of which most columns are NULL.
    fn rows(count: usize) -> RecordBatch {
        let kinds = [
            Some("createuser"),
            None,
            Some("deleteuser"),
            Some(""),
            Some("stopinstance"),
            Some("failure"),
        ];
        let outcomes = [Some("success"), Some("failure"), None];
        let column = |field: &Arc<Field>| -> ArrayRef {
            match field.name().as_str() {
                "event_action" => Arc::new(
                    (0..count).map(|row| kinds[row % kinds.len()]).collect::<StringArray>(),
                ),
                "outcome" => Arc::new(
                    (0..count)
                        .map(|row| outcomes[row / 7 % outcomes.len()])
                        .collect::<StringArray>(),
                ),
                "event_id" => {
                    Arc::new((0..count).map(|row| Some(row.to_string())).collect::<StringArray>())
                }
                "source_position" => {
                    Arc::new((0_i64..).take(count).map(Some).collect::<Int64Array>())
                }
                _ => new_null_array(field.data_type(), count),
            }
        };
        let nullable: Vec<Field> = EVENTS
            .arrow
            .fields()
            .iter()
            .map(|field| field.as_ref().clone().with_nullable(true))
            .collect();
        RecordBatch::try_new(
            Arc::new(Schema::new(nullable)),
            EVENTS.arrow.fields().iter().map(column).collect(),
        )
        .expect("rows")
    }

    fn ids(batch: &RecordBatch, rows: &UInt32Array) -> Vec<String> {
        let ids =
            cast(required_column(batch, "event_id").expect("ids"), &DataType::Utf8).expect("texts");
        rows.values()
            .iter()
            .map(|&row| ids.as_string::<i32>().value(row as usize).to_owned())
            .collect()
    }

    /// The ids that each predicate matches in plain SQL.
    async fn expected(all: &RecordBatch) -> Vec<Vec<String>> {
        let context = datafusion::prelude::SessionContext::new();
        context.register_batch("rows", all.clone()).expect("a table");
        let mut expected = Vec::new();
        for predicate in PREDICATES {
            let sql =
                format!("SELECT event_id FROM rows WHERE {predicate} ORDER BY source_position");
            let batches = context.sql(&sql).await.expect("planned").collect().await.expect("run");
            expected.push(
                batches
                    .iter()
                    .flat_map(|batch| {
                        ids(batch, &(0..batch.num_rows() as u32).collect::<Vec<_>>().into())
                    })
                    .collect(),
            );
        }
        expected
    }

    #[tokio::test]
    async fn many_predicates_at_once_match_what_each_alone_matches_in_sql() {
        let session =
            Session::over_input(Arc::default(), &QueryLimits::default()).expect("a session");
        let predicates = PREDICATES
            .map(|predicate| EventPredicate::new(&session, predicate).expect("a predicate"));
        let set = PredicateSet::new(&predicates).expect("predicates");
        // Small ranges are decoded whole; of large ones only the rows that earlier columns have
        // left.
        for count in [300, 3 * BATCH_ROWS] {
            let all = rows(count);
            let bitmap = set.evaluate(&all).expect("evaluated");
            let expected = expected(&all).await;
            for (at, expected) in expected.iter().enumerate() {
                assert_eq!(&ids(&all, &bitmap.rows(at)), expected, "{}", PREDICATES[at]);
            }
            assert!(
                expected[2..13].iter().all(|rows| !rows.is_empty() && rows.len() < count),
                "each tells rows apart"
            );
            for range_rows in [count, 2 * SMALL_RANGE_ROWS + 77, 1000] {
                assert_eq!(
                    read(&set, &all, range_rows, &expected[0]),
                    expected[1..],
                    "{range_rows}"
                );
            }
        }
    }

    /// The rows that each predicate but the first matches in a file with `all`, in several row
    /// groups and read in ranges of `range_rows`. The first predicate matches `of_first`, and the
    /// reduction removes all its matches.
    fn read(
        set: &PredicateSet,
        all: &RecordBatch,
        range_rows: usize,
        of_first: &[String],
    ) -> Vec<Vec<String>> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(all.num_rows() / 3 + 1))
            .build();
        let mut writer =
            ArrowWriter::try_new(file.reopen().expect("a file"), all.schema(), Some(properties))
                .expect("a writer");
        writer.write(all).expect("written");
        writer.close().expect("closed");
        let places: BTreeSet<usize> = ["event_id", "event_action"]
            .map(|name| EVENTS.arrow.index_of(name).expect("a column"))
            .into();
        let (mut seen, mut found) = (Vec::new(), vec![Vec::new(); PREDICATES.len()]);
        let mut without_the_first = |batch: &RecordBatch, bitmap: &mut MatchBitmap| {
            let first = bitmap.rows(0);
            seen.extend(ids(batch, &first));
            bitmap.retain(0, &first, &vec![false; first.len()].into());
            Ok(())
        };
        let mut each = |batch: &RecordBatch, bitmap: &MatchBitmap| {
            (0..).zip(&mut found).for_each(|(at, found): (usize, &mut Vec<String>)| {
                found.extend(ids(batch, &bitmap.rows(at)))
            });
            Ok(())
        };
        let reduced = ReducedPredicates { predicates: vec![0], columns: places.clone() };
        let events = EventsFile::open(file.path().to_owned()).expect("events");
        for from in (0..events.row_count()).step_by(range_rows) {
            let range =
                RowRange { file: &events, rows: from..events.row_count().min(from + range_rows) };
            set.read(
                &range,
                &reduced,
                &places,
                |predicate| predicate != 1,
                &mut without_the_first,
                &mut each,
            )
            .expect("read");
        }
        assert_eq!((seen.as_slice(), found.remove(0).len()), (of_first, 0));
        found
    }
}
