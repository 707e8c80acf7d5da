"""DuckDB's extension for PostgreSQL."""
import duckdb
import duckdb_extensions
from checks import DATABASE, HOST, PASSWORD, PORT, USER, run

duckdb_extensions.import_extension("postgres_scanner")
db = duckdb.connect()
db.execute("SET enable_progress_bar = false")
db.execute("LOAD postgres_scanner")
db.execute(f"ATTACH 'host={HOST} port={PORT} user={USER} password={PASSWORD} dbname={DATABASE}' AS lake (TYPE postgres, READ_ONLY)")


def rows():
    return db.execute("SELECT count(*) FROM lake.public.events").fetchone()[0]


def filtered():
    return db.execute("SELECT count(*) FROM lake.events WHERE outcome = 'failure'").fetchone()[0]


def lists():
    sql = "SELECT instance_ids FROM lake.stops WHERE len(instance_ids) > 1 ORDER BY event_id LIMIT 1"
    return db.execute(sql).fetchone()[0]


def tables():
    return sorted(row[0] for row in db.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = 'public'").fetchall())


def passed_on():
    return db.execute("SELECT * FROM postgres_query('lake', 'SELECT count(*) AS n FROM events')").fetchone()[0]


run(rows=rows, filtered=filtered, lists=lists, tables=tables, passed_on=passed_on)
