"""psycopg 3: cursors of the server, copies, settings, types."""
import psycopg
from checks import DATABASE, HOST, PASSWORD, PORT, USER, run

EVENTS = "SELECT event_id, event_time, user_name FROM events ORDER BY event_id"


def connect(**options):
    return psycopg.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, dbname=DATABASE, **options)


def simple():
    return connect(autocommit=True, cursor_factory=psycopg.ClientCursor)


def server_cursor():
    with connect() as db, db.cursor(name="of events") as cursor:
        cursor.itersize = 70
        cursor.execute(EVENTS)
        return sum(1 for _ in cursor)


def server_cursor_with_parameter():
    with connect() as db, db.cursor(name="failed") as cursor:
        cursor.execute("SELECT event_id FROM events WHERE outcome = %s", ("failure",))
        return len(cursor.fetchall())


def scrolled():
    with connect() as db, db.cursor(name="s", scrollable=True) as cursor:
        cursor.execute("SELECT value FROM generate_series(1, 20)")
        first = cursor.fetchmany(3)
        cursor.scroll(10, mode="absolute")
        later = cursor.fetchone()
        cursor.scroll(-5)
        return [row[0] for row in first] + [later[0], cursor.fetchone()[0]]


def held():
    with simple() as db:
        db.execute('DECLARE "c 1" CURSOR WITH HOLD FOR SELECT event_id FROM public.events')
        rows = 0
        while batch := db.execute('FETCH FORWARD 111 IN "c 1"').fetchall():
            rows += len(batch)
        db.execute('CLOSE "c 1"')
        return rows


def rolled_back():
    with simple() as db:
        db.execute("BEGIN")
        db.execute("DECLARE a CURSOR WITH HOLD FOR SELECT 1")
        db.execute("ROLLBACK")
        return state(db, "FETCH a")


def committed():
    with simple() as db:
        db.execute("BEGIN")
        db.execute("DECLARE a CURSOR FOR SELECT 1")
        db.execute("DECLARE b CURSOR WITH HOLD FOR SELECT 2")
        names = [row[0] for row in db.execute("SELECT name FROM pg_cursors ORDER BY name").fetchall()]
        db.execute("COMMIT")
        return [names, state(db, "FETCH a"), db.execute("FETCH b").fetchone()[0]]


def state(db, sql):
    """The SQLSTATE with which a statement is refused."""
    try:
        db.execute(sql)
        return "accepted"
    except psycopg.Error as error:
        return error.sqlstate


def copied():
    found = {}
    rows = "(VALUES (1, 'a\tb\\', true), (2, NULL, false), (3, '', NULL), (4, 'say \"x\", ä', true)) AS t(n, s, b)"
    with simple() as db:
        for name, options in [
            ("text", ""),
            ("csv", "WITH (FORMAT csv, HEADER)"),
            ("old", "WITH CSV HEADER DELIMITER ';' NULL '-'"),
            ("quoted", "(FORMAT csv, FORCE_QUOTE (s), NULL 'none')"),
        ]:
            with db.cursor().copy(f"COPY (SELECT n, s, b FROM {rows} ORDER BY n) TO STDOUT {options}") as copy:
                found[name] = b"".join(copy).decode()
    return found


def copied_binary():
    sql = "COPY (SELECT event_id, event_time, instance_ids FROM events ORDER BY event_id) TO STDOUT (FORMAT binary)"
    with connect(autocommit=True) as db, db.cursor().copy(sql) as copy:
        copy.set_types(["text", "timestamptz", "text[]"])
        rows = list(copy.rows())
        return [len(rows), rows[0][0], rows[0][1].isoformat()]


def copied_table():
    with connect(autocommit=True) as db, db.cursor().copy("COPY events (event_id) TO STDOUT") as copy:
        return sum(part.tobytes().count(b"\n") if hasattr(part, "tobytes") else part.count(b"\n") for part in copy)


def types():
    sql = """SELECT 1::smallint, 2::int, 3::bigint, 1.5::float8, 2.25::real, 12.50::numeric(10,2), true, 'x'::text,
             ARRAY['a', NULL, 'b,c'], ARRAY[1, 2], NULL, date '2026-11-14', timestamp '2026-11-14 01:02:03.5',
             timestamptz '2026-11-14 01:02:03+00', '\\x00ff'::bytea, row_number() OVER ()"""
    with connect(autocommit=True) as db:
        text = db.execute(sql).fetchone()
        binary = db.cursor(binary=True).execute(sql).fetchone()
        return [[str(value) for value in text], [str(value) for value in binary]]


def bound():
    import datetime

    values = [7, 2**40, 1.5, True, "ä'\\", ["x", None, "y,z"], [1, 2], None, b"\x00\xff", datetime.date(2026, 11, 14)]
    values.append(datetime.datetime(2026, 11, 14, tzinfo=datetime.timezone.utc))
    with connect(autocommit=True) as db:
        found = []
        for value in values:
            # psycopg sends a list of texts without a type in the text format.
            for form in ("%b",) if value == ["x", None, "y,z"] else ("%t", "%b"):
                try:
                    found.append(db.execute(f"SELECT {form}", (value,)).fetchone()[0] == value)
                except psycopg.Error as error:
                    found.append(f"{value!r} {form}: {error}")
        return found


def meanings():
    """The type of a parameter decides what an expression means, and the zone of the session what a time without one."""
    import datetime
    from decimal import Decimal

    midnight = "timestamptz '2026-11-13 16:00:00+00'"
    cases = [
        ("SELECT {} + 1", Decimal("1.5"), Decimal("2.5")),
        ("SELECT {} / 2", Decimal("1.5"), Decimal("0.75")),
        ("SELECT {} + 1", 0.25, 1.25),
        (f"SELECT {midnight} >= {{}}", datetime.date(2026, 11, 14), True),
        (f"SELECT {midnight} - interval '1 second' >= {{}}", datetime.date(2026, 11, 14), False),
        (f"SELECT {midnight} = {{}}", datetime.datetime(2026, 11, 14), True),
        (f"SELECT {midnight} > {{}}", datetime.datetime(2026, 11, 13, 23, 59, 59), True),
        (f"SELECT {midnight} = {{}}", "2026-11-14", True),
        (f"SELECT {midnight} = {{}}", "2026-11-13 16:00:00Z", True),
    ]
    with connect(autocommit=True) as db:
        db.execute("SET TIME ZONE 'Asia/Shanghai'")
        found = []
        for sql, value, expected in cases:
            for form in ("%t", "%b"):
                try:
                    answer = db.execute(sql.format(form), (value,)).fetchone()[0]
                    found.append(answer == expected or f"{sql} {value!r} {form}: {answer!r}")
                except psycopg.Error as error:
                    found.append(f"{sql} {value!r} {form}: {error}")
        return found


def prepared_reads_new_rows():
    """A prepared statement reads the newest rows each time it runs."""
    with connect(autocommit=True) as db:
        count = lambda: db.execute("SELECT count(*) FROM query_log", prepare=True).fetchone()[0]
        first = count()
        return count() > first


def settings():
    with simple() as db:
        show = lambda name: db.execute(f"SHOW {name}").fetchone()[0]
        found = {}
        for name, value in [
            ("extra_float_digits", "0"),
            ("bytea_output", "'escape'"),
            ("intervalstyle", "'iso_8601'"),
            ("statement_timeout", "'90s'"),
            ("search_path", "pg_catalog"),
        ]:
            db.execute(f"SET {name} TO {value}")
            found[name] = show(name)
        values = "0.1::float8 + 0.2::float8, '\\x41ff'::bytea, interval '1 day 2 hours'"
        with db.cursor().copy(f"COPY (SELECT {values}) TO STDOUT") as copy:
            found["values"] = b"".join(copy).decode()
        found["out of the path"] = state(db, "SELECT 1 FROM events")
        found["with its schema"] = state(db, "SELECT 1 FROM public.events")
        found["catalogue"] = state(db, "SELECT 1 FROM pg_class")
        for refused in [
            "standard_conforming_strings = off",
            "default_transaction_read_only = off",
            "client_encoding = 'LATIN1'",
            "DateStyle = 'German'",
            "IntervalStyle = 'sql_standard'",
            "search_path = information_schema",
            "work_mem = '1GB'",
            "extra_float_digits = 9",
        ]:
            found[refused] = state(db, f"SET {refused}")
        db.execute("RESET ALL")
        found["reset"] = [show("search_path"), show("statement_timeout")]
        found["function"] = db.execute("SELECT set_config('search_path', 'public', false), current_setting('search_path')").fetchone()
        return found


def local_settings():
    with simple() as db:
        db.execute("BEGIN; SET LOCAL statement_timeout = '5s'; SET application_name = 'x'")
        inside = db.execute("SHOW statement_timeout").fetchone()[0]
        db.execute("ROLLBACK")
        return [inside, db.execute("SHOW statement_timeout").fetchone()[0], db.execute("SHOW application_name").fetchone()[0]]


def startup_options():
    options = "-c statement_timeout=7s -c search_path=pg_catalog"
    with connect(autocommit=True, options=options) as db:
        found = [db.execute("SHOW statement_timeout").fetchone()[0], state(db, "SELECT 1 FROM events")]
    try:
        connect(options="-c standard_conforming_strings=off").close()
        return found + ["accepted"]
    except psycopg.OperationalError as error:
        return found + ["cannot be set" in str(error)]


def stopped():
    with simple() as db:
        db.execute("SET statement_timeout = '300ms'")
        return state(db, "SELECT count(*) FROM generate_series(1, 1000000000000)")


def idle():
    with simple() as db:
        db.execute("SET idle_in_transaction_session_timeout = '200ms'")
        db.execute("BEGIN")
        try:
            for notify in db.notifies(timeout=20):
                pass
        except psycopg.Error:
            pass
        return db.closed or state(db, "SELECT 1")


def resets():
    found = []
    with simple() as db:
        for sql in [
            "DISCARD ALL", "DISCARD PLANS", "CLOSE ALL", "UNLISTEN *", "RESET ALL", "DEALLOCATE ALL",
            "SELECT pg_advisory_unlock_all()", "RESET SESSION AUTHORIZATION",
            "SELECT pg_advisory_unlock_all(); CLOSE ALL; UNLISTEN *; RESET ALL;",
            "DISCARD ALL; SELECT 1",
        ]:
            found.append([sql, state(db, sql)])
    return found


def failed_transaction():
    with simple() as db:
        db.execute("BEGIN")
        first = state(db, "SELECT nothing")
        second = state(db, "SELECT 1")
        db.execute("ROLLBACK")
        db.execute("BEGIN; SAVEPOINT a")
        state(db, "SELECT nothing")
        db.execute("ROLLBACK TO a")
        return [first, second, db.execute("SELECT 1; COMMIT").fetchone()[0], state(db, "SAVEPOINT b")]


def one_snapshot():
    """A transaction of this level reads one snapshot."""
    with connect(autocommit=True) as db:
        db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        level = db.execute("SHOW transaction_isolation").fetchone()[0]
        db.execute("COMMIT")
        return [level, db.execute("SHOW transaction_isolation").fetchone()[0]]


def refusals():
    with simple() as db:
        return {sql: state(db, sql) for sql in [
            "COPY events FROM STDIN", "COPY (SELECT 1) TO '/tmp/x'", "COPY (SELECT 1) TO PROGRAM 'true'",
            "DECLARE c CURSOR FOR SELECT 1", "FETCH nothing", "CLOSE nothing", "DEALLOCATE nothing", "LISTEN x",
            "BEGIN READ WRITE", "SHOW nothing", "SELECT current_setting('nothing')",
            "SELECT 1 / 0", "SELECT 'x'::int", "SELECT 40000::smallint", "SELECT 10 / (length(event_id) * 0) FROM events",
        ]}


run(**{name: value for name, value in list(globals().items()) if callable(value) and getattr(value, "__module__", "") == "__main__" and name not in ("connect", "simple", "state", "run")})
