//! Many conditions over the rows of `events` at once. Of a thousand events nearly all columns that conditions ask for hold a handful of
//! values: what each of them leaves open is found once a value, for all conditions, and only the few rows that remain are asked further.

use crate::scan::implied_predicate::{alone, is_settled_by, necessary};
use crate::scan::match_bitmap::MatchBitmap;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use datafusion::arrow::compute::{cast, prep_null_mask_filter, take};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Operator;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use trailhound_datasets::columns::EVENTS;
use trailhound_queries::limits::SessionError;
use trailhound_queries::projection::{coded_text, column, some, taken};
use trailhound_queries::session::Session;
use trailhound_queries::tables::cardinality::{FEW, LONG};

/// Rows looked at together.
const BATCH_ROWS: usize = 8192;
/// Of no more rows, as a commit of a service brings them, to read some alone costs more than to decode all.
const FEW_ROWS: usize = 2048;

/// Conditions on rows of `events`.
#[derive(Debug)]
pub struct PredicateSet {
    conditions: Vec<Condition>,
    few: Vec<Few>,
    /// Places of the columns they ask for among those of `events`.
    columns: BTreeSet<usize>,
}

/// One of them.
#[derive(Debug)]
struct Condition {
    /// Over its own columns.
    predicate: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    /// Places of these among those of `events`.
    columns: BTreeSet<usize>,
    /// Nothing is left to ask once what it needs of columns of few values is there.
    is_settled: bool,
    /// It asks for columns that are long.
    is_long: bool,
}

/// What conditions need of a column of few values.
#[derive(Debug)]
struct Few {
    /// Place of the column among those of `events`.
    place: usize,
    /// The column alone.
    schema: SchemaRef,
    needs: Vec<Need>,
    /// Columns whose values are remembered: several threads may be at work.
    known: Mutex<VecDeque<Known>>,
}

/// What some conditions cannot hold without.
#[derive(Debug)]
struct Need {
    holds: Arc<dyn PhysicalExpr>,
    /// The conditions.
    of: Vec<usize>,
}

/// The conditions that each value leaves open.
#[derive(Debug, Clone)]
struct Known {
    values: ArrayRef,
    /// A row for each value, and one for NULL.
    open: Arc<MatchBitmap>,
}

/// So many columns' values are remembered.
const KNOWN: usize = 4;

/// A compiled condition on columns of `events`.
#[derive(Debug, Clone)]
pub struct EventPredicate(Arc<dyn PhysicalExpr>);

impl EventPredicate {
    /// Compiles `sql`, a condition on columns of `events` with the functions of `session`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where it is no such condition.
    pub fn new(session: &Session, sql: &str) -> Result<Self, SessionError> {
        Ok(Self(compiled(session, sql)?))
    }

    /// True of the rows of which both are true.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(Arc::new(BinaryExpr::new(Arc::clone(&self.0), Operator::And, Arc::clone(&other.0))))
    }
}

impl PredicateSet {
    /// The set of `predicates`, which are known by their number from here on.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub fn new<'p>(
        predicates: impl IntoIterator<Item = &'p EventPredicate>,
    ) -> Result<Self, SessionError> {
        let mut sieves = Self { conditions: Vec::new(), few: Vec::new(), columns: BTreeSet::new() };
        for predicate in predicates {
            sieves.add(Arc::clone(&predicate.0))?;
        }
        Ok(sieves)
    }

    fn add(&mut self, predicate: Arc<dyn PhysicalExpr>) -> Result<(), SessionError> {
        let own: BTreeSet<usize> = collect_columns(&predicate).iter().map(Column::index).collect();
        let at = self.conditions.len();
        let schema = some(&own)?;
        for (&place, field) in
            own.iter().zip(schema.fields()).filter(|(_, field)| FEW.contains(field.name().as_str()))
        {
            if let Some(needed) = necessary(&predicate, field.name()) {
                self.need(place, field.name(), alone(&needed, field.name())?, at);
            }
        }
        let is_settled = is_settled_by(&predicate, |name| FEW.contains(name));
        let is_long = schema.fields().iter().any(|field| LONG.contains(field.name().as_str()));
        self.columns.extend(&own);
        let predicate = reassign_expr_columns(predicate, &schema)?;
        self.conditions.push(Condition { predicate, schema, columns: own, is_settled, is_long });
        Ok(())
    }

    /// Condition `at` needs that `holds` of the column `name`, which is at `place`.
    fn need(&mut self, place: usize, name: &str, holds: Arc<dyn PhysicalExpr>, at: usize) {
        let known = self.few.iter().position(|few| few.place == place);
        let few = known.unwrap_or_else(|| {
            let schema = Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, true)]));
            self.few.push(Few { place, schema, needs: Vec::new(), known: Mutex::default() });
            self.few.len() - 1
        });
        let needs = &mut self.few[few].needs;
        match needs.iter_mut().find(|need| need.holds.as_ref() == holds.as_ref()) {
            Some(need) => need.of.push(at),
            None => needs.push(Need { holds, of: vec![at] }),
        }
    }

    /// Places of the columns they ask for among those of `events`.
    #[must_use]
    pub fn columns(&self) -> &BTreeSet<usize> {
        &self.columns
    }

    /// Which conditions hold of which rows of `batch`, which has all columns that they ask for; unknown is no.
    ///
    /// # Errors
    /// [`SessionError::Engine`].
    pub fn judge(&self, batch: &RecordBatch) -> Result<MatchBitmap, SessionError> {
        let mut hits = MatchBitmap::all(batch.num_rows(), self.conditions.len());
        narrow(&self.few, batch, &mut hits)?;
        self.ask(|_| true, batch, &mut hits)?;
        Ok(hits)
    }

    /// The conditions that are not settled by columns of few values, and that `which` chooses.
    fn unsettled(
        &self,
        which: impl Fn(&Condition) -> bool,
    ) -> impl Iterator<Item = (usize, &Condition)> {
        self.conditions
            .iter()
            .enumerate()
            .filter(move |(_, condition)| !condition.is_settled && which(condition))
    }

    /// Takes from `hits` those of the conditions that `which` chooses where they do not hold.
    fn ask(
        &self,
        which: impl Fn(&Condition) -> bool,
        batch: &RecordBatch,
        hits: &mut MatchBitmap,
    ) -> Result<(), SessionError> {
        for (at, condition) in self.unsettled(which) {
            let rows = hits.rows(at);
            if !rows.is_empty() {
                hits.keep(at, &rows, &condition.holds(batch, &rows)?);
            }
        }
        Ok(())
    }

    /// Reads a `part` of a file of `events`. Of each condition that is `chosen` from, `choose` sees the rows where
    /// it holds, with the columns `looked_at` at least, each once and in order, and may take hits back. What then has a hit comes to `each`,
    /// with the `wanted` columns at least; texts may be coded. Hits of a condition that is not wanted count as none.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where the file cannot be read, and what the two give.
    pub fn read(
        &self,
        part: &Part<'_>,
        chosen: &Chosen,
        wanted: &BTreeSet<usize>,
        is_wanted: impl Fn(usize) -> bool,
        mut choose: impl FnMut(&RecordBatch, &mut MatchBitmap) -> Result<(), SessionError>,
        mut each: impl FnMut(&RecordBatch, &MatchBitmap) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        let unwanted: Vec<usize> =
            (0..self.conditions.len()).filter(|condition| !is_wanted(*condition)).collect();
        let mut hits = MatchBitmap::all(part.rows.len(), self.conditions.len());
        hits.clear(&unwanted);
        if part.rows.len() <= FEW_ROWS {
            let all = self.columns.iter().chain(&chosen.looked_at).chain(wanted).copied().collect();
            return part.visit(&all, &mut hits, None, |batch, hits| {
                *hits = self.judge(batch)?;
                hits.clear(&unwanted);
                choose(batch, hits)?;
                each(batch, hits)
            });
        }
        // First the column that most conditions need something of: it leaves the fewest rows.
        let mut few: Vec<&Few> = self.few.iter().collect();
        few.sort_by_key(|few| few.needs.iter().map(|need| need.of.len()).sum::<usize>());
        let first: Vec<&Few> = few.pop().into_iter().collect();
        for few in [first, few] {
            let (columns, open) = (few.iter().map(|few| few.place).collect(), hits.any());
            part.visit(&columns, &mut hits, Some(&open), |batch, hits| {
                narrow(few.iter().copied(), batch, hits)
            })?;
        }
        for is_long in [false, true] {
            let which = |condition: &Condition| condition.is_long == is_long;
            let (numbers, asked): (Vec<usize>, Vec<&Condition>) = self.unsettled(which).unzip();
            let asked =
                asked.into_iter().flat_map(|condition| &condition.columns).copied().collect();
            let open = hits.any_of(&numbers);
            part.visit(&asked, &mut hits, Some(&open), |batch, hits| self.ask(which, batch, hits))?;
        }
        let open = hits.any_of(&chosen.conditions);
        part.visit(&chosen.looked_at, &mut hits, Some(&open), |batch, hits| choose(batch, hits))?;
        let open = hits.any();
        part.visit(wanted, &mut hits, Some(&open), |batch, hits| each(batch, hits))
    }
}

/// Takes from `hits` the conditions that `few` columns, which `batch` has, do not leave open.
fn narrow<'f>(
    few: impl IntoIterator<Item = &'f Few>,
    batch: &RecordBatch,
    hits: &mut MatchBitmap,
) -> Result<(), SessionError> {
    Ok(few.into_iter().try_for_each(|few| few.narrow(batch, hits))?)
}

/// Conditions from whose rows some are to be chosen.
#[derive(Debug, Default)]
pub struct Chosen {
    /// Their numbers.
    pub conditions: Vec<usize>,
    /// What is looked at to choose, by places among the columns of `events`.
    pub looked_at: BTreeSet<usize>,
}

impl Condition {
    /// Of which of the `rows` of `batch` it holds.
    fn holds(
        &self,
        batch: &RecordBatch,
        rows: &UInt32Array,
    ) -> Result<BooleanArray, DataFusionError> {
        truths(&*self.predicate, &taken(batch, &self.schema, rows)?, rows.len())
    }
}

impl Few {
    /// Takes from `hits` the conditions that the values of the rows do not leave open.
    fn narrow(&self, batch: &RecordBatch, hits: &mut MatchBitmap) -> Result<(), DataFusionError> {
        let coded = cast(column(batch, self.schema.field(0).name())?, &coded_text())?;
        let coded = coded.as_dictionary::<UInt32Type>();
        let open = self.open(coded.values(), hits.conditions())?;
        let null = coded.values().len();
        hits.narrow(
            &open,
            coded.keys().iter().map(|value| value.map_or(null, |value| value as usize)),
        );
        Ok(())
    }

    fn open(
        &self,
        values: &ArrayRef,
        conditions: usize,
    ) -> Result<Arc<MatchBitmap>, DataFusionError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.iter().find(|known| Arc::ptr_eq(&known.values, values)) {
            return Ok(Arc::clone(&known.open));
        }
        // What NULL gives is asked as a value of its own, the last.
        let count = values.len() + 1;
        let with_null = take(
            values,
            &UInt32Array::from_iter((0..values.len() as u32).map(Some).chain([None])),
            None,
        )?;
        let asked = RecordBatch::try_new(Arc::clone(&self.schema), vec![with_null])?;
        let mut open = MatchBitmap::all(count, conditions);
        for need in &self.needs {
            let holds = truths(&*need.holds, &asked, count)?;
            for row in (0..count).filter(|&row| !holds.value(row)) {
                need.of.iter().for_each(|&condition| open.remove(condition, row));
            }
        }
        let open = Arc::new(open);
        known.push_front(Known { values: Arc::clone(values), open: Arc::clone(&open) });
        known.truncate(KNOWN);
        Ok(open)
    }
}

/// A file of `events`.
#[derive(Debug)]
pub struct EventsFile {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
}

impl EventsFile {
    /// Opens the file `path`.
    ///
    /// # Errors
    /// [`SessionError::Engine`] where it is not there or is no Parquet file.
    pub fn open(path: PathBuf) -> Result<Self, SessionError> {
        let at = |e: &dyn std::fmt::Display| no_events(&path, e);
        let file = File::open(&path).map_err(|e| at(&e))?;
        let plain =
            ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|e| at(&e))?;
        // Columns of few values as they are stored: the values once, and for each row which of them.
        let coded = |field: &Arc<Field>| match field.data_type() {
            DataType::Utf8 if FEW.contains(field.name().as_str()) => {
                Arc::new(field.as_ref().clone().with_data_type(coded_text()))
            }
            _ => Arc::clone(field),
        };
        let schema = Schema::new_with_metadata(
            plain.schema().fields().iter().map(coded).collect::<Vec<_>>(),
            plain.schema().metadata().clone(),
        );
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options)
            .map_err(|e| at(&e))?;
        Ok(Self { path, file, metadata })
    }

    /// How many rows it has.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.metadata
            .metadata()
            .row_groups()
            .iter()
            .map(|group| usize::try_from(group.num_rows()).unwrap_or(0))
            .sum()
    }

    /// The rows of `selection` with the `columns` of `events`.
    fn rows(
        &self,
        columns: &BTreeSet<usize>,
        selection: RowSelection,
    ) -> Result<ParquetRecordBatchReader, DataFusionError> {
        let file = self.file.try_clone().map_err(|e| self.at(&e))?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let builder = builder.with_projection(mask).with_batch_size(BATCH_ROWS);
        builder.with_row_selection(selection).build().map_err(|e| self.at(&e))
    }

    fn at(&self, error: &dyn std::fmt::Display) -> DataFusionError {
        no_events(&self.path, error)
    }
}

/// Some rows of a file that follow each other.
#[derive(Debug)]
pub struct Part<'f> {
    /// The file.
    pub events: &'f EventsFile,
    /// Numbers of the rows.
    pub rows: Range<usize>,
}

impl Part<'_> {
    /// Lets `visitor` see the `columns` of `events` of those of its rows that are `open`, all of them without, and what is known of these rows.
    fn visit(
        &self,
        columns: &BTreeSet<usize>,
        hits: &mut MatchBitmap,
        open: Option<&BooleanArray>,
        mut visitor: impl FnMut(&RecordBatch, &mut MatchBitmap) -> Result<(), SessionError>,
    ) -> Result<(), SessionError> {
        let rows: Vec<usize> = match open {
            Some(open) => open.values().set_indices().collect(),
            None => (0..hits.len()).collect(),
        };
        if rows.is_empty() {
            return Ok(());
        }
        let mut left = &rows[..];
        for batch in self.events.rows(columns, self.selection(open))? {
            let batch = batch.map_err(|e| self.events.at(&e))?;
            let (now, later) = left
                .split_at_checked(batch.num_rows())
                .ok_or_else(|| self.events.at(&"it has more rows than it says"))?;
            let mut of_batch = hits.of(now);
            visitor(&batch, &mut of_batch)?;
            hits.put(now, &of_batch);
            left = later;
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(self.events.at(&"it has fewer rows than it says").into())
        }
    }

    /// Those of its rows that are `open`, all of them without, among those of the file.
    fn selection(&self, open: Option<&BooleanArray>) -> RowSelection {
        let before = std::iter::once(RowSelector::skip(self.rows.start));
        match open {
            Some(open) => before
                .chain(Vec::from(RowSelection::from_filters(std::slice::from_ref(open))))
                .collect(),
            None => before.chain([RowSelector::select(self.rows.len())]).collect(),
        }
    }
}

fn no_events(path: &Path, error: &dyn std::fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("`{}`: {error}", path.display()))
}

fn compiled(session: &Session, predicate: &str) -> Result<Arc<dyn PhysicalExpr>, SessionError> {
    let schema = DFSchema::try_from(EVENTS.arrow.as_ref().clone())?;
    let context = session.context();
    // Some functions exist for the optimizer only, which turns them into others.
    let simplifier = ExprSimplifier::new(
        SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build(),
    );
    let expression = simplifier.coerce(context.parse_sql_expr(predicate, &schema)?, &schema)?;
    let compiled = context.create_physical_expr(simplifier.simplify(expression)?, &schema)?;
    if compiled.data_type(&EVENTS.arrow)? != DataType::Boolean {
        return Err(DataFusionError::Plan(format!("`{predicate}` is no condition")).into());
    }
    Ok(compiled)
}

/// Of which rows the predicate holds; unknown is no.
fn truths(
    predicate: &dyn PhysicalExpr,
    batch: &RecordBatch,
    rows: usize,
) -> Result<BooleanArray, DataFusionError> {
    let values = predicate.evaluate(batch)?.into_array(rows)?;
    let holds = values
        .as_boolean_opt()
        .ok_or_else(|| DataFusionError::Plan(format!("`{predicate}` is no condition")))?;
    Ok(if holds.null_count() == 0 { holds.clone() } else { prep_null_mask_filter(holds) })
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let ids = cast(column(batch, "event_id").expect("ids"), &DataType::Utf8).expect("texts");
        rows.values()
            .iter()
            .map(|&row| ids.as_string::<i32>().value(row as usize).to_owned())
            .collect()
    }

    /// What SQL says of each predicate.
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
    async fn many_conditions_at_once_hold_where_each_alone_does_in_sql() {
        let session =
            Session::over_input(Arc::default(), &QueryLimits::default()).expect("a session");
        let predicates = PREDICATES
            .map(|predicate| EventPredicate::new(&session, predicate).expect("a predicate"));
        let sieves = PredicateSet::new(&predicates).expect("predicates");
        // Few rows are read at once, of many only those that columns before have left.
        for count in [300, 3 * BATCH_ROWS] {
            let all = rows(count);
            let hits = sieves.judge(&all).expect("judged");
            let expected = expected(&all).await;
            for (at, expected) in expected.iter().enumerate() {
                assert_eq!(&ids(&all, &hits.rows(at)), expected, "{}", PREDICATES[at]);
            }
            assert!(
                expected[2..13].iter().all(|rows| !rows.is_empty() && rows.len() < count),
                "each tells rows apart"
            );
            for part_rows in [count, 2 * FEW_ROWS + 77, 1000] {
                assert_eq!(
                    read(&sieves, &all, part_rows, &expected[0]),
                    expected[1..],
                    "{part_rows}"
                );
            }
        }
    }

    /// What each condition but the first is found to hold of in a file with `all`, in several groups of rows and read in parts of `part_rows`. The
    /// first, which holds `of_first`, has its rows chosen and takes all back.
    fn read(
        sieves: &PredicateSet,
        all: &RecordBatch,
        part_rows: usize,
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
        let mut without_the_first = |batch: &RecordBatch, hits: &mut MatchBitmap| {
            let first = hits.rows(0);
            seen.extend(ids(batch, &first));
            hits.keep(0, &first, &vec![false; first.len()].into());
            Ok(())
        };
        let mut each = |batch: &RecordBatch, hits: &MatchBitmap| {
            (0..).zip(&mut found).for_each(|(at, found): (usize, &mut Vec<String>)| {
                found.extend(ids(batch, &hits.rows(at)))
            });
            Ok(())
        };
        let chosen = Chosen { conditions: vec![0], looked_at: places.clone() };
        let events = EventsFile::open(file.path().to_owned()).expect("events");
        for from in (0..events.row_count()).step_by(part_rows) {
            let part =
                Part { events: &events, rows: from..events.row_count().min(from + part_rows) };
            sieves
                .read(
                    &part,
                    &chosen,
                    &places,
                    |condition| condition != 1,
                    &mut without_the_first,
                    &mut each,
                )
                .expect("read");
        }
        assert_eq!((seen.as_slice(), found.remove(0).len()), (of_first, 0));
        found
    }
}
