//! Tests of what the SQL guard accepts and rejects.

use super::*;
use std::collections::BTreeSet;

fn sets() -> (BTreeSet<String>, BTreeSet<String>) {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    (set(&["events", "stops"]), set(&["count", "lower", "param", "array_agg", "repeat", "lag"]))
}

fn guarded(text: &str, values: &ParameterValues) -> Result<Statement, QueryError> {
    let (tables, functions) = sets();
    let allowed = AllowedNames { tables: &tables, schemas: &[], functions: &functions };
    parse_statement(text, values, &allowed)
}

fn parsed(text: &str) -> Statement {
    guarded(text, &ParameterValues::new()).expect(text)
}

fn admitted(text: &str, values: &ParameterValues) -> Result<String, QueryError> {
    guarded(text, values).map(|statement| statement.to_string())
}

fn code(text: &str) -> QueryErrorCode {
    admitted(text, &ParameterValues::new())
        .map_or_else(|error| error.code, |statement| panic!("let through: {statement}"))
}

#[test]
fn statements_that_read_pass() {
    for text in [
        "SELECT 1",
        "select COUNT(*) from Events;",
        "WITH x AS (SELECT * FROM stops) SELECT * FROM x JOIN \"events\" ON true",
        "SELECT * FROM public.events",
        "VALUES (1), (2)",
        "EXPLAIN SELECT lower(a) FROM events",
        "EXPLAIN ANALYZE SELECT 1",
        "SHOW TABLES",
        "DESCRIBE events",
        "SELECT * FROM generate_series(1, 3)",
        "SELECT * FROM unnest([1, 2])",
        "SELECT unnest(instance_ids) FROM stops",
        "SELECT * FROM (SELECT 1) a CROSS JOIN LATERAL (SELECT 2) b",
        "SELECT 1 UNION ALL SELECT 2 ORDER BY 1 LIMIT 1",
    ] {
        if let Err(error) = admitted(text, &ParameterValues::new()) {
            panic!("{text}: {error:?}");
        }
    }
}

#[test]
fn what_is_no_single_statement_is_refused_with_its_place() {
    for text in ["", ";", " ;; ", "-- nothing", "/* nothing */"] {
        assert_eq!(code(text), QueryErrorCode::Empty, "{text}");
    }
    assert_eq!(code("SELECT 1; SELECT 2"), QueryErrorCode::SeveralStatements);
    assert_eq!(
        code(&format!("SELECT '{}'", "x".repeat(TEXT_BYTES_MAX))),
        QueryErrorCode::TooComplex
    );
    let error = |text: &str| admitted(text, &ParameterValues::new()).expect_err("refused");
    assert_eq!(error("SELECT\n 1\0").position, Some(SqlPosition { line: 2, column: 3 }));
    let open = error("SELECT\n  'open");
    assert_eq!(
        (open.code, open.position),
        (QueryErrorCode::Syntax, Some(SqlPosition { line: 2, column: 3 }))
    );
    let wrong = error("SELECT 1 FORM events e x");
    assert_eq!(wrong.code, QueryErrorCode::Syntax);
    assert!(wrong.position.is_some(), "{wrong:?}");
}

#[test]
fn statements_that_do_anything_else_are_refused() {
    for text in [
        "CREATE TABLE x (a INT)",
        "CREATE VIEW x AS SELECT 1",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "DROP TABLE events",
        "INSERT INTO events VALUES (1)",
        "UPDATE events SET a = 1",
        "DELETE FROM events",
        "COPY events TO '/tmp/x'",
        "SET a = 1",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "ANALYZE events",
        "TRUNCATE events",
        "GRANT ALL ON events TO x",
        "BEGIN",
        "COMMIT",
        "EXPLAIN INSERT INTO events VALUES (1)",
        "EXPLAIN ANALYZE DELETE FROM events",
        "/* SELECT */ DROP TABLE events",
        "-- SELECT\nDROP TABLE events",
        "wItH x AS (SELECT 1) INSERT INTO events SELECT * FROM x",
        "SELECT 1 INTO x",
        "SELECT * FROM events FOR UPDATE",
        "MERGE INTO events USING stops ON true WHEN MATCHED THEN DELETE",
        "KILL 1",
        "CALL x()",
        "USE x",
        "ALTER TABLE events ADD COLUMN a INT",
        "DECLARE c CURSOR FOR SELECT 1",
        "LOAD DATA INPATH 'x' INTO TABLE events",
        "INSTALL httpfs",
        "ATTACH 'x' AS y",
        "PRAGMA x",
        "VACUUM",
        "SHOW ALL",
        "SHOW datafusion.execution.batch_size",
        "UNLOAD (SELECT 1) TO 's3://x'",
    ] {
        let code = code(text);
        assert!(
            matches!(code, QueryErrorCode::StatementNotAllowed | QueryErrorCode::Syntax),
            "{text}: {code}"
        );
    }
}

#[test]
fn tables_and_functions_are_those_that_are_offered() {
    for text in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM 'file:///etc/passwd'",
        "SELECT * FROM 'http://192.0.2.1/x.parquet'",
        "SELECT * FROM 'oss://bucket/x'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM lake.main.events",
        "SELECT * FROM datafusion.public.events",
        "SELECT * FROM pg_catalog.pg_class",
        "SELECT * FROM secrets",
        "SELECT * FROM ducklake_metadata",
        "SELECT (SELECT count(*) FROM secrets)",
        "WITH x AS (SELECT * FROM secrets) SELECT * FROM x",
        "SELECT * FROM events WHERE a IN (SELECT a FROM secrets)",
        "DESCRIBE secrets",
        "SELECT * FROM \"EVENTS\"",
        "EXPLAIN SELECT * FROM secrets",
    ] {
        assert_eq!(code(text), QueryErrorCode::TableNotFound, "{text}");
    }
    for text in [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM parquet_metadata('x')",
        "SELECT read_text('/etc/passwd')",
        "SELECT version()",
        "SELECT sleep(10)",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT public.lower('x')",
        "SELECT count(*) FILTER (WHERE getenv('HOME') = 'x') FROM events",
        "SELECT * FROM events ORDER BY load_extension('x')",
        "SELECT lower(getenv('x'))",
    ] {
        assert_eq!(code(text), QueryErrorCode::FunctionNotAllowed, "{text}");
    }
    let near = admitted("SELECT * FROM\n  evnets", &ParameterValues::new()).expect_err("refused");
    assert!(
        near.message.contains("did you mean `events`?")
            && near.position == Some(SqlPosition { line: 2, column: 3 }),
        "{near:?}"
    );
    assert!(
        admitted("SELECT lowr(1)", &ParameterValues::new())
            .expect_err("refused")
            .message
            .contains("did you mean `lower`?")
    );
}

#[test]
fn what_would_grow_deep_or_wide_is_refused_before_it_is_parsed() {
    let many = |piece: &str, count: usize| piece.repeat(count);
    for text in [
        format!("SELECT 1{}", many("+1", 10_000)),
        format!("SELECT 1{}", many("+1", 700)),
        format!("SELECT 1 FROM events WHERE a = 1{}", many(" OR a = 1", 20_000 / 4)),
        format!("SELECT {}1", many("NOT ", 5_000)),
        format!("SELECT {}1", many("- ", 5_000)),
        format!("SELECT 1 IN (1{})", many(",1", 30_000)),
        format!("SELECT {}1{}", many("(", 10_000), many(")", 10_000)),
        format!("SELECT {}1{}", many("(", 60), many(")", 60)),
        format!("SELECT {}1{}", many("[", 5_000), many("]", 5_000)),
        format!("SELECT {}1{}", many("CASE WHEN true THEN ", 500), many(" END", 500)),
        format!("SELECT {}1", many("1,", 10_000)),
        format!("SELECT 1 FROM events{}", many(" JOIN events ON true", 200)),
        format!("SELECT 1{}", many(" UNION SELECT 1", 500)),
        format!("SELECT {}1{}", many("(SELECT ", 3_000), many(")", 3_000)),
        format!("SELECT a{}", many("::INT", 3_000)),
        format!("SELECT {}1{}", many("lower(", 3_000), many(")", 3_000)),
        format!("SELECT a{}", many(" IS NULL", 5_000)),
        format!("SELECT 'x'{}", many(" || 'x'", 3_000)),
    ] {
        let found = code(&text);
        assert_eq!(found, QueryErrorCode::TooComplex, "{}", &text[..60]);
    }
    // What people write passes.
    assert!(
        admitted(&format!("SELECT 1 IN (1{})", many(",1", 2_000)), &ParameterValues::new()).is_ok()
    );
    assert!(admitted(&format!("SELECT 1{}", many("+1", 400)), &ParameterValues::new()).is_ok());
}

#[test]
fn values_take_the_places_of_parameters_and_nothing_else() {
    let values = |pairs: &[(&str, Option<&str>)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
    };
    let bound =
        admitted("SELECT lower($a), $b", &values(&[("a", Some("x' OR '1'='1")), ("b", None)]))
            .expect("let through");
    assert_eq!(bound, "SELECT lower('x'' OR ''1''=''1'), NULL");
    let missing = admitted("SELECT\n $a", &ParameterValues::new()).expect_err("refused");
    assert_eq!(
        (missing.code, missing.position),
        (QueryErrorCode::Parameter, Some(SqlPosition { line: 2, column: 2 }))
    );
    assert_eq!(
        admitted("SELECT 1", &values(&[("a", None)])).expect_err("refused").code,
        QueryErrorCode::Parameter
    );
    assert_eq!(
        admitted("SELECT ?", &ParameterValues::new()).expect_err("refused").code,
        QueryErrorCode::Parameter
    );
}

#[test]
fn materialized_is_understood_where_it_has_a_meaning() {
    for (text, read) in [
        (
            "with x as materialized (select 1) select 1 from x",
            "WITH x AS MATERIALIZED (SELECT 1) SELECT 1 FROM x",
        ),
        (
            "WITH x(a, b) AS /* so */ NOT MATERIALIZED\n(SELECT 1, 2) SELECT 1 FROM x",
            "WITH x (a, b) AS NOT MATERIALIZED (SELECT 1, 2) SELECT 1 FROM x",
        ),
        (
            "WITH materialized AS MATERIALIZED (SELECT 1) SELECT 1 FROM materialized",
            "WITH materialized AS MATERIALIZED (SELECT 1) SELECT 1 FROM materialized",
        ),
        ("SELECT 1 AS materialized", "SELECT 1 AS materialized"),
        (
            "SELECT count(1) FROM (WITH x AS MATERIALIZED (SELECT 1) SELECT 1 FROM x) AS y",
            "SELECT count(1) FROM (WITH x AS MATERIALIZED (SELECT 1) SELECT 1 FROM x) AS y",
        ),
    ] {
        assert_eq!(admitted(text, &ParameterValues::new()).as_deref(), Ok(read));
    }
    // As many as are let through are read in no time that anybody notices.
    let many = (0..700)
        .map(|number| format!("x{number} AS MATERIALIZED (SELECT {number})"))
        .collect::<Vec<_>>()
        .join(", ");
    let read = admitted(&format!("WITH {many} SELECT 1 FROM x0"), &ParameterValues::new())
        .expect("let through");
    assert_eq!(read.matches("AS MATERIALIZED (").count(), 700);
    for text in [
        "SELECT 1 AS MATERIALIZED (SELECT 1)",
        "MATERIALIZED (SELECT 1)",
        "WITH x AS MATERIALIZED SELECT 1",
    ] {
        assert_eq!(code(text), QueryErrorCode::Syntax, "{text}");
    }
}

#[test]
fn clauses_that_the_engine_drops_are_refused_by_name() {
    for (text, clause) in [
        ("SELECT count(*) FROM events PREWHERE false", "PREWHERE"),
        ("SELECT 1 FROM events CONNECT BY PRIOR a = b", "CONNECT BY"),
        ("SELECT 1 FROM events TABLESAMPLE BERNOULLI (1)", "TABLESAMPLE"),
        ("SELECT 1 FROM events SAMPLE 0.1", "TABLESAMPLE"),
        ("SELECT 1 FROM (SELECT 1) TABLESAMPLE (10 PERCENT)", "TABLESAMPLE"),
        ("SELECT 1 FROM stops JOIN events TABLESAMPLE (1 ROWS) ON true", "TABLESAMPLE"),
        ("SELECT a FROM events GROUP BY a WITH ROLLUP", "WITH ROLLUP"),
        ("SELECT a FROM events GROUP BY a WITH TOTALS", "WITH ROLLUP"),
        ("SELECT 1 FROM events PARTITION (p0)", "PARTITION"),
        ("SELECT 1 FROM events WITH (NOLOCK)", "a hint"),
        ("SELECT 1 FROM events FORMAT JSON", "FORMAT"),
        ("SELECT 1 FROM events SETTINGS max_threads = 1", "SETTINGS"),
        ("SELECT 1 FROM events FOR XML AUTO", "FOR"),
        ("SELECT 1 FROM events FETCH FIRST 1 ROW WITH TIES", "WITH TIES"),
        ("SELECT 1 FROM events LIMIT 1 BY a", "LIMIT BY"),
        ("FROM events", "FROM without SELECT"),
        ("SELECT 1 FROM stops GLOBAL JOIN events ON true", "GLOBAL JOIN"),
        ("SELECT 1 FROM (stops GLOBAL JOIN events ON true)", "GLOBAL JOIN"),
        ("SELECT a FROM (VALUES (1)) AS t(a text)", "types in a list of columns"),
        ("WITH x(a int) AS (SELECT 1) SELECT * FROM x", "types in a list of columns"),
        ("SELECT (SELECT 1 FROM events PREWHERE false)", "PREWHERE"),
        ("EXPLAIN SELECT 1 FROM events PREWHERE false", "PREWHERE"),
        ("EXPLAIN (FORMAT XML) SELECT 1", "options of EXPLAIN"),
        ("EXPLAIN ESTIMATE SELECT 1", "ESTIMATE"),
        ("DESCRIBE FORMATTED events", "EXTENDED or FORMATTED"),
    ] {
        let error = admitted(text, &ParameterValues::new()).expect_err(text);
        assert!(
            error.code == QueryErrorCode::StatementNotAllowed && error.message.contains(clause),
            "{text}: {error:?}"
        );
    }
}

#[test]
fn clauses_of_a_call_are_refused_where_its_function_has_none() {
    let takes_rows = |name: &str| ["count", "array_agg"].contains(&name);
    let checked = |text: &str| check_functions(&parsed(text), &takes_rows);
    for (text, clause) in [
        ("SELECT lower(a) FILTER (WHERE false) FROM events", "FILTER"),
        ("SELECT lower(a) OVER () FROM events", "OVER"),
        ("SELECT lower(DISTINCT a) FROM events", "DISTINCT"),
        ("SELECT lower(a ORDER BY 1) FROM events", "ORDER BY"),
        ("SELECT lower(a) IGNORE NULLS FROM events", "IGNORE NULLS"),
        ("SELECT count(*) FROM events WHERE lower(a) FILTER (WHERE b) = 'x'", "FILTER"),
        ("SELECT count(0.5)(a) FROM events", "a second list of arguments"),
    ] {
        let error = checked(text).expect_err(text);
        assert!(error.message.contains(clause), "{text}: {error:?}");
    }
    for text in [
        "SELECT count(DISTINCT a) FILTER (WHERE b), array_agg(a ORDER BY c) FROM events",
        "SELECT count(*) OVER (PARTITION BY a), lower(a) FROM events",
    ] {
        assert!(checked(text).is_ok(), "{text}");
    }
}

#[test]
fn what_would_not_mean_what_postgresql_means_is_refused() {
    let checked = |text: &str| check_meanings(&parsed(text));
    for (text, says) in [
        ("SELECT (1, NULL) = (1, 2)", "row values"),
        ("SELECT 1 FROM events WHERE (a, b) NOT IN ((1, 2))", "row values"),
        ("SELECT a FROM events RIGHT JOIN stops USING (a)", "write ON"),
        ("SELECT a FROM events FULL JOIN stops USING (a)", "write ON"),
        ("SELECT a FROM events NATURAL RIGHT JOIN stops", "write ON"),
        ("SELECT a FROM events WHERE a ~ ANY(ARRAY['^x'])", "ANY and ALL"),
        ("SELECT a FROM events WHERE a !~ ALL(ARRAY['^x'])", "ANY and ALL"),
        ("SELECT a FROM events WHERE a < ANY (SELECT a FROM stops)", "takes = alone"),
        ("SELECT a FROM events WHERE a >= ALL (SELECT a FROM stops)", "takes <> alone"),
        ("SELECT a FROM events WHERE a LIKE ANY (ARRAY['x%'])", "LIKE ANY"),
        ("SELECT a FROM events EXCEPT ALL SELECT a FROM stops", "row_number"),
        ("(SELECT 1 INTERSECT ALL SELECT 2) UNION SELECT 3", "row_number"),
        ("SELECT -2 ^ 2", "parentheses"),
        ("SELECT 'abc'::char(2)", "varchar"),
        ("SELECT lag(a, 1, '2026-11-29') OVER (ORDER BY a) FROM events", "a type"),
    ] {
        let error = checked(text).expect_err(text);
        assert!(error.message.contains(says), "{text}: {error:?}");
    }
    for text in [
        "SELECT a FROM events LEFT JOIN stops USING (a) WHERE a = ANY(ARRAY['x'])",
        "SELECT a FROM events WHERE a = ANY (SELECT a FROM stops) OR a <> ALL (SELECT a FROM stops)",
        "SELECT a FROM events EXCEPT SELECT a FROM stops UNION ALL SELECT 'x'",
        "SELECT (-2) ^ 2, lag(a, 1) OVER (ORDER BY a), 'abc'::varchar(2) FROM events",
    ] {
        assert!(checked(text).is_ok(), "{text}");
    }
}
