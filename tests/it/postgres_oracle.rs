//! PostgreSQL's meaning of SQL, checked against PostgreSQL itself: random statements give the same rows in both, or are refused
//! here. A refusal is told apart by its cause.

use crate::support::postgres::postgres;
use crate::support::statements::Statements;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, NaiveDateTime};
use rand::SeedableRng;
use rand_pcg::Pcg64Mcg;
use sqlx::postgres::{PgConnection, PgValueFormat};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use trailhound_queries::limits::QueryLimits;
use trailhound_queries::session::Session;
use trailhound_queries::sql_guard::ParameterValues;
use trailhound_queries::values::row_texts;

/// Statements that are compared; `TRAILHOUND_ORACLE_STATEMENTS` sets another number.
const STATEMENTS: usize = 2_400;
/// Zones of the sessions, in turn.
const ZONES: [&str; 4] = ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York"];

type Rows = Vec<Vec<Option<String>>>;

/// The rows that PostgreSQL gives, as it writes them.
async fn of_postgres(connection: &mut PgConnection, sql: &str) -> Result<Rows, String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await;
    let rows = rows.map_err(|error| error.to_string())?;
    let text = |row: &sqlx::postgres::PgRow, at: usize| {
        let value = row.try_get_raw(at).expect("a value");
        assert!(value.format() == PgValueFormat::Text, "the simple protocol sends texts");
        value.as_str().ok().map(str::to_owned)
    };
    Ok(rows.iter().map(|row| (0..row.len()).map(|at| text(row, at)).collect()).collect())
}

async fn of_trailhound(session: &Session, sql: &str) -> Result<Vec<RecordBatch>, String> {
    let mut rows = session
        .stream_rows(sql, &ParameterValues::new(), 100_000)
        .await
        .map_err(|error| error.to_string())?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await.map_err(|error| error.to_string())? {
        batches.push(batch);
    }
    Ok(batches)
}

/// The values of the batches in a form that compares with PostgreSQL's texts.
fn values(batches: &[RecordBatch]) -> Rows {
    let mut rows = Vec::new();
    for batch in batches {
        let micros: Vec<Option<arrow::array::ArrayRef>> = batch
            .columns()
            .iter()
            .map(|column| match column.data_type() {
                DataType::Timestamp(..) => {
                    let micros = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, None));
                    Some(cast(&micros.expect("micros"), &DataType::Int64).expect("numbers"))
                }
                _ => None,
            })
            .collect();
        for row in 0..batch.num_rows() {
            let texts = row_texts(batch, row);
            let value = |(at, text): (usize, String)| {
                let column = batch.column(at);
                if column.is_null(row) || *column.data_type() == DataType::Null {
                    return None;
                }
                Some(match (&micros[at], column.data_type()) {
                    (Some(micros), DataType::Timestamp(_, zone)) => {
                        let micros =
                            micros.as_primitive::<arrow::datatypes::Int64Type>().value(row);
                        format!("{}@{micros}", if zone.is_some() { "point" } else { "wall" })
                    }
                    (_, DataType::Boolean) => text[..1].to_owned(),
                    _ => text,
                })
            };
            rows.push(texts.into_iter().enumerate().map(value).collect());
        }
    }
    rows
}

/// True where both texts are one value.
fn same(postgres: &Option<String>, here: &Option<String>) -> bool {
    let (Some(postgres), Some(here)) = (postgres, here) else { return postgres == here };
    if postgres == here {
        return true;
    }
    if let Some(micros) = here.strip_prefix("wall@") {
        let parsed = NaiveDateTime::parse_from_str(postgres, "%Y-%m-%d %H:%M:%S%.f");
        return parsed.is_ok_and(|time| time.and_utc().timestamp_micros().to_string() == micros);
    }
    if let Some(micros) = here.strip_prefix("point@") {
        // The offset shows in which zone the session is; the point in time is compared.
        let padded =
            if postgres.get(postgres.len() - 3..).is_some_and(|end| end.starts_with(['+', '-'])) {
                format!("{postgres}:00")
            } else {
                postgres.clone()
            };
        let parsed = DateTime::parse_from_str(&padded, "%Y-%m-%d %H:%M:%S%.f%:z");
        return parsed.is_ok_and(|time| time.timestamp_micros().to_string() == micros);
    }
    same_number(postgres, here)
}

/// True where both are one number: digits that a float does not hold are not compared.
fn same_number(postgres: &str, here: &str) -> bool {
    let is_number = |text: &str| {
        text.parse::<f64>().ok().filter(|_| text.bytes().any(|byte| byte.is_ascii_digit()))
    };
    let (Some(left), Some(right)) = (is_number(postgres), is_number(here)) else { return false };
    let whole = |text: &str| !text.contains(['.', 'e', 'E']);
    if whole(postgres) && whole(here) {
        return false;
    }
    left == right || (left - right).abs() <= left.abs().max(right.abs()) * 1e-13
}

fn same_rows(postgres: &Rows, here: &Rows) -> bool {
    postgres.len() == here.len()
        && postgres.iter().zip(here).all(|(left, right)| {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| same(left, right))
        })
}

/// A refusal without the names and values of its statement.
fn cause(message: &str) -> String {
    let mut words = message.split([';', ':', '"']).next().unwrap_or_default().to_owned();
    words.truncate(words.floor_char_boundary(90));
    words
}

#[derive(Default)]
struct Outcome {
    answered: usize,
    /// Both refuse.
    invalid: usize,
    refused: BTreeMap<String, usize>,
    examples: BTreeMap<String, String>,
    different: Vec<String>,
}

impl Outcome {
    fn count(&mut self, sql: &str, postgres: Result<Rows, String>, here: Result<Rows, String>) {
        let shown = sql.rsplit_once("]))").map_or(sql, |(_, shown)| shown);
        match (postgres, here) {
            (Ok(left), Ok(right)) if same_rows(&left, &right) => self.answered += 1,
            (Err(_), Err(_)) => self.invalid += 1,
            (Ok(_), Err(message)) => {
                let cause = cause(&message);
                self.examples
                    .entry(cause.clone())
                    .or_insert_with(|| format!("{shown}\n      {message}"));
                *self.refused.entry(cause).or_default() += 1;
            }
            (Ok(left), Ok(right)) => {
                let at = left.iter().zip(&right).find(|(left, right)| {
                    left.len() != right.len()
                        || !left.iter().zip(right.iter()).all(|(left, right)| same(left, right))
                });
                self.different.push(format!("{shown}\n    PostgreSQL and here: {at:?}"));
            }
            (Err(message), Ok(_)) => {
                self.different.push(format!("{shown}\n    only here; PostgreSQL: {message}"))
            }
        }
    }

    fn report(&self) -> String {
        let refused: usize = self.refused.values().sum();
        let mut text = format!(
            "{} equal, {refused} refused, {} refused by both, {} different\n",
            self.answered,
            self.invalid,
            self.different.len()
        );
        for (cause, count) in &self.refused {
            let _written =
                writeln!(text, "  {count} refused: {cause}\n    {}", self.examples[cause]);
        }
        for different in self.different.iter().take(60) {
            let _written = writeln!(text, "  DIFFERENT {different}");
        }
        text
    }
}

#[test]
fn random_statements_give_the_rows_of_postgresql_or_are_refused() {
    let Some(server) = postgres() else { return };
    let url = server.database("oracle");
    let statements = std::env::var("TRAILHOUND_ORACLE_STATEMENTS")
        .map_or(STATEMENTS, |number| number.parse().expect("a number"));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.expect("a runtime").block_on(async {
        let mut connection = PgConnection::connect(&url).await.expect("PostgreSQL answers");
        let limits = QueryLimits { threads: 1, ..QueryLimits::default() };
        let session = Session::over_events(Vec::new(), std::sync::Arc::default(), &limits)
            .await
            .expect("a session");
        let mut generator = Statements { random: Pcg64Mcg::seed_from_u64(41) };
        let mut outcome = Outcome::default();
        for number in 0..statements {
            if number % (statements / ZONES.len()).max(1) == 0 {
                let zone = ZONES[number * ZONES.len() / statements];
                session.set_time_zone(zone).expect("a zone");
                of_postgres(&mut connection, &format!("SET TIME ZONE '{zone}'"))
                    .await
                    .expect("a zone");
            }
            // One in five combines rows.
            let sql = if number % 5 == 4 { generator.next_relation() } else { generator.next() };
            let expected = of_postgres(&mut connection, &sql).await;
            let here = of_trailhound(&session, &sql).await.map(|batches| values(&batches));
            outcome.count(&sql, expected, here);
        }
        outcome
    });
    let report = outcome.report();
    println!("{report}");
    let valid = statements - outcome.invalid;
    assert!(outcome.different.is_empty(), "{report}");
    assert!(outcome.answered * 10 >= valid * 9, "less than nine of ten are answered\n{report}");
}
