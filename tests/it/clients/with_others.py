"""psycopg 2, pg8000, SQLAlchemy, pandas and ADBC."""
from checks import DATABASE, HOST, PASSWORD, PORT, URL, USER, run


def psycopg2_named():
    import psycopg2

    with psycopg2.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, dbname=DATABASE) as db:
        with db.cursor("named") as cursor:
            cursor.itersize = 90
            cursor.execute("SELECT event_id FROM events WHERE outcome = %s", ("failure",))
            return sum(1 for _ in cursor)


def psycopg2_copy():
    import io

    import psycopg2

    db = psycopg2.connect(host=HOST, port=PORT, user=USER, password=PASSWORD, dbname=DATABASE)
    db.set_session(readonly=True, autocommit=True)
    out = io.StringIO()
    db.cursor().copy_expert("COPY (SELECT event_id FROM events) TO STDOUT WITH CSV", out)
    lists = db.cursor()
    lists.execute("SELECT instance_ids FROM stops WHERE cardinality(instance_ids) > 1 ORDER BY event_id LIMIT 1")
    return [out.getvalue().count("\n"), lists.fetchone()[0]]


def pg8000_rows():
    import pg8000.native

    db = pg8000.native.Connection(USER, host=HOST, port=PORT, password=PASSWORD, database=DATABASE)
    count = db.run("SELECT count(*) FROM events WHERE outcome = :o", o="failure")[0][0]
    row = db.run("SELECT * FROM events LIMIT 1")[0]
    stop = db.run("SELECT instance_ids FROM stops WHERE cardinality(instance_ids) > 1 ORDER BY event_id LIMIT 1")[0][0]
    db.close()
    return [count, len(row), stop]


def engine(driver="psycopg"):
    import sqlalchemy

    return sqlalchemy.create_engine(f"postgresql+{driver}://{URL}")


def inspected():
    import sqlalchemy

    found = {}
    for driver in ("psycopg", "psycopg2", "pg8000"):
        inspector = sqlalchemy.inspect(engine(driver))
        names = inspector.get_table_names()
        found[driver] = [
            inspector.get_schema_names(),
            names,
            inspector.get_view_names(),
            {column["name"]: str(column["type"]) for column in inspector.get_columns("events")},
            inspector.get_pk_constraint("events")["constrained_columns"],
            inspector.get_foreign_keys("events"),
            inspector.get_indexes("events"),
            inspector.get_unique_constraints("events"),
            inspector.get_check_constraints("events"),
            inspector.has_table("events"),
            inspector.has_table("nothing"),
        ]
    return found


def reflected():
    import sqlalchemy

    metadata = sqlalchemy.MetaData()
    table = sqlalchemy.Table("events", metadata, autoload_with=engine())
    with engine().connect() as db:
        return db.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(table)).scalar()


def streamed():
    import sqlalchemy

    with engine().connect().execution_options(stream_results=True, max_row_buffer=60) as db:
        return sum(1 for _ in db.execute(sqlalchemy.text("SELECT event_id FROM events")))


def asynchronous():
    import asyncio

    import sqlalchemy
    from sqlalchemy.ext.asyncio import create_async_engine

    async def count():
        async with create_async_engine(f"postgresql+asyncpg://{URL}").connect() as db:
            return (await db.execute(sqlalchemy.text("SELECT count(*) FROM events"))).scalar()

    return asyncio.run(count())


def frames():
    import pandas

    sql = "SELECT event_id, event_time, user_name FROM events"
    with engine().connect() as db:
        whole = pandas.read_sql(sql, db)
    with engine().connect().execution_options(stream_results=True) as db:
        chunks = [len(chunk) for chunk in pandas.read_sql(sql, db, chunksize=1000)]
    with engine().connect() as db:
        table = pandas.read_sql_table("findings", db)
    return [len(whole), str(whole["event_time"].dtype), sum(chunks), len(table.columns) > 5]


def adbc():
    import adbc_driver_postgresql.dbapi

    with adbc_driver_postgresql.dbapi.connect(f"postgresql://{URL}") as db, db.cursor() as cursor:
        cursor.execute("SELECT event_id, event_time, user_name, instance_ids FROM events")
        table = cursor.fetch_arrow_table()
        cursor.execute("SELECT count(*) FROM events WHERE outcome = $1", ("failure",))
        count = cursor.fetchone()[0]
        columns = db.adbc_get_table_schema("events").names
        return [table.num_rows, [str(field.type) for field in table.schema], count, len(columns)]


run(
    psycopg2_named=psycopg2_named,
    psycopg2_copy=psycopg2_copy,
    pg8000_rows=pg8000_rows,
    inspected=inspected,
    reflected=reflected,
    streamed=streamed,
    asynchronous=asynchronous,
    frames=frames,
    adbc=adbc,
)
