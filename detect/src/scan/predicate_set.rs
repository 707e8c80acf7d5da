//! Evaluates the predicates of all rules over rows of `events` in one pass.
//!
//! Low-cardinality columns are evaluated first. In 10,000 events the column `event_action` has
//! about 40 distinct values. A condition on this column is evaluated once for each distinct value,
//! and a row then looks up the result of its value. For `event_action = 'consolesignin' AND
//! param(request_parameters, 'mfa') = 'no'` this rules out all rows that are not sign-ins. The
//! condition on `request_parameters` is evaluated for the remaining rows. In a large range of rows,
//! `request_parameters` is decoded for these rows only.

use crate::scan::events_file::RowRange;
use crate::scan::implied_predicate::{implied_condition, is_decided_by, over_single_column};
use crate::scan::match_bitmap::MatchBitmap;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{cast, prep_null_mask_filter, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, Operator};
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

/// A range of at most this many rows is decoded completely, because this is cheaper than a
/// selection of rows. A commit of the service usually adds no more rows.
const SMALL_RANGE_ROWS: usize = 2048;
/// Maximum number of dictionaries whose results a low-cardinality column caches. One is not enough,
/// because several threads read different files.
const CACHED_DICTIONARIES: usize = 4;

/// A compiled condition on columns of `events`.
#[derive(Debug, Clone)]
pub(crate) struct EventPredicate(Arc<dyn PhysicalExpr>);

impl EventPredicate {
    /// Compiles `sql`, a condition on columns of `events`. It can call the functions of `session`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] if `sql` is not a valid condition on `events`.
    pub(crate) fn new(session: &Session, sql: &str) -> Result<Self, SessionError> {
        Self::compile(session, Self::parse(session, sql)?, sql)
    }

    /// Parses `sql`, a condition on columns of `events`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] if `sql` is not a valid expression on `events`.
    pub(crate) fn parse(session: &Session, sql: &str) -> Result<Expr, SessionError> {
        Ok(session.context().parse_sql_expr(sql, Self::schema()?)?)
    }

    /// Compiles `expr`, which was parsed from `sql`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] if it is no condition.
    pub(crate) fn compile(session: &Session, expr: Expr, sql: &str) -> Result<Self, SessionError> {
        let schema = Self::schema()?;
        // Some functions cannot run: the simplifier must replace them with other expressions.
        let simplifier =
            ExprSimplifier::new(SimplifyContext::builder().with_schema(Arc::clone(schema)).build());
        let expr = simplifier.simplify(simplifier.coerce(expr, schema)?)?;
        let compiled = session.context().create_physical_expr(expr, schema)?;
        if compiled.data_type(&EVENTS.arrow)? != DataType::Boolean {
            return Err(DataFusionError::Plan(format!("`{sql}` is no condition")).into());
        }
        Ok(Self(compiled))
    }

    fn schema() -> Result<&'static Arc<DFSchema>, SessionError> {
        static SCHEMA: LazyLock<Result<Arc<DFSchema>, DataFusionError>> =
            LazyLock::new(|| DFSchema::try_from(EVENTS.arrow.as_ref().clone()).map(Arc::new));
        Ok(SCHEMA.as_ref().map_err(|e| DataFusionError::Internal(e.to_string()))?)
    }

    /// Returns the conjunction: it matches a row if both predicates match it.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(Arc::new(BinaryExpr::new(Arc::clone(&self.0), Operator::And, Arc::clone(&other.0))))
    }
}

/// Predicates that are evaluated together. A number identifies each predicate.
#[derive(Debug)]
pub(crate) struct PredicateSet {
    predicates: Vec<Predicate>,
    low_cardinality: Vec<LowCardinalityColumn>,
    /// The columns that at least one predicate reads, as positions in the schema of `events`.
    columns: BTreeSet<usize>,
}

#[derive(Debug)]
struct Predicate {
    /// The compiled condition. Its column indexes refer to `schema`.
    expr: Arc<dyn PhysicalExpr>,
    /// The columns that the predicate reads.
    schema: SchemaRef,
    /// The same columns as positions in the schema of `events`.
    columns: BTreeSet<usize>,
    /// True if the predicate is equivalent to its implied conditions on low-cardinality columns.
    /// Then it is not evaluated for single rows.
    is_decided_early: bool,
    /// True if the predicate reads a column of [`HIGH_CARDINALITY`]. Such columns are slow to
    /// decode.
    reads_long_column: bool,
}

/// A column with few distinct values, and the conditions on it that predicates imply.
#[derive(Debug)]
struct LowCardinalityColumn {
    /// Position of the column in the schema of `events`.
    position: usize,
    /// A schema that holds only this column.
    schema: SchemaRef,
    implied: Vec<ImpliedCondition>,
    /// The results of the last dictionaries, the newest first.
    cache: Mutex<VecDeque<DictionaryMatches>>,
}

/// A condition on one column that a row must fulfil before any of `predicates` can match it.
#[derive(Debug)]
struct ImpliedCondition {
    expr: Arc<dyn PhysicalExpr>,
    predicates: Vec<usize>,
}

/// For each value of a dictionary, the predicates that can match a row with this value.
#[derive(Debug, Clone)]
struct DictionaryMatches {
    values: ArrayRef,
    /// One row for each value, in the order of `values`, and a last row for NULL.
    possible: Arc<MatchBitmap>,
}

/// Predicates whose matches a callback can remove, and the columns that the callback reads. The
/// output columns are read afterwards, for the remaining rows.
#[derive(Debug, Default)]
pub(crate) struct ReducedPredicates {
    pub(crate) predicates: Vec<usize>,
    /// The columns that the callback reads, as positions in the schema of `events`.
    pub(crate) columns: BTreeSet<usize>,
}

impl PredicateSet {
    /// Creates a set of `predicates` and numbers them from 0 in their order.
    ///
    /// # Errors
    /// [`SessionError::Engine`] if a predicate cannot be bound to its columns.
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

    /// Records that `predicate` implies `expr`, a condition on the column `name`. The column is at
    /// `position` in the schema of `events`.
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

    /// The columns that at least one predicate reads, as positions in the schema of `events`.
    pub(crate) fn columns(&self) -> &BTreeSet<usize> {
        &self.columns
    }

    /// Evaluates all predicates over `batch`, which must hold all their columns. A predicate that
    /// gives NULL does not match.
    ///
    /// # Errors
    /// [`SessionError::Engine`] if a column is missing or a predicate fails.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Result<MatchBitmap, SessionError> {
        let mut bitmap = MatchBitmap::all(batch.num_rows(), self.predicates.len());
        rule_out(&self.low_cardinality, batch, &mut bitmap)?;
        self.evaluate_undecided(|_| true, batch, &mut bitmap)?;
        Ok(bitmap)
    }

    /// Lists the predicates that fulfil `which` and must still be evaluated for single rows, each
    /// with its number.
    fn undecided(
        &self,
        which: impl Fn(&Predicate) -> bool,
    ) -> impl Iterator<Item = (usize, &Predicate)> {
        self.predicates
            .iter()
            .enumerate()
            .filter(move |(_, predicate)| !predicate.is_decided_early && which(predicate))
    }

    /// Evaluates the undecided predicates that fulfil `which` over the rows of `batch` that they
    /// match in `bitmap`. Removes from `bitmap` the matches that turn out false.
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

    /// Evaluates the predicates that `is_wanted` selects over a range of rows of a file. In a large
    /// range, it decodes further columns only for the rows that can still match.
    ///
    /// `reduce` receives batches of rows with a bitmap of their matches, and can remove matches.
    /// The batches hold, in order, at least all rows that a predicate of `reduced` matches, and at
    /// least the columns of `reduced`. `each` then receives at least all rows that still have a
    /// match, with at least `columns` (positions in the schema of `events`). Both receive a row at
    /// most once. Text columns may be dictionary-encoded.
    ///
    /// # Errors
    /// [`SessionError::Engine`] if the file cannot be read or a predicate fails, and the errors of
    /// `reduce` and `each`.
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
        self.rule_out_in_range(range, &mut bitmap)?;
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

    /// Reads the low-cardinality columns of `range` and removes from `bitmap` the matches that
    /// their values rule out.
    fn rule_out_in_range(
        &self,
        range: &RowRange<'_>,
        bitmap: &mut MatchBitmap,
    ) -> Result<(), SessionError> {
        // The column with implied conditions of the most predicates comes first, because it usually
        // leaves the fewest rows.
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

/// Removes from `bitmap` the matches that the values of `columns` in `batch` rule out.
fn rule_out<'c>(
    columns: impl IntoIterator<Item = &'c LowCardinalityColumn>,
    batch: &RecordBatch,
    bitmap: &mut MatchBitmap,
) -> Result<(), SessionError> {
    Ok(columns.into_iter().try_for_each(|column| column.rule_out(batch, bitmap))?)
}

impl Predicate {
    /// Evaluates the predicate over the rows of `batch` that `rows` lists.
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

    /// Returns, for each value of the dictionary `values`, which of the `predicates` predicates can
    /// match a row with this value. The last row of the bitmap stands for NULL.
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

/// Evaluates `expr` over `batch`, which has `rows` rows. NULL counts as false.
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

    /// Creates `count` rows with values in four columns. All other columns are NULL.
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

    /// For each predicate, runs a plain SQL query and returns the event ids that it matches.
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
        // A small range is decoded completely. In a large range, columns are decoded only for the
        // rows that can still match.
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

    /// Writes `all` to a file with several row groups and reads it in ranges of `range_rows` rows.
    /// Returns the event ids that each predicate matches, without the first predicate. The
    /// reduction removes all matches of the first predicate; before that, they must be
    /// `first_matches`.
    fn read(
        set: &PredicateSet,
        all: &RecordBatch,
        range_rows: usize,
        first_matches: &[String],
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
        let mut remove_first_matches = |batch: &RecordBatch, bitmap: &mut MatchBitmap| {
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
                &mut remove_first_matches,
                &mut each,
            )
            .expect("read");
        }
        assert_eq!((seen.as_slice(), found.remove(0).len()), (first_matches, 0));
        found
    }
}
