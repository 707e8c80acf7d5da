"""asyncpg: binary values, a pool, portals that return some rows at a time."""
import asyncio
import datetime

import asyncpg
from checks import DATABASE, HOST, PASSWORD, PORT, USER, run

LOGIN = dict(host=HOST, port=PORT, user=USER, password=PASSWORD, database=DATABASE)


def on_connection(work):
    async def connected():
        db = await asyncpg.connect(**LOGIN)
        try:
            return await work(db)
        finally:
            await db.close()

    return lambda: asyncio.run(connected())


async def pool():
    async with asyncpg.create_pool(**LOGIN, min_size=1, max_size=1) as clients:
        counts = []
        for _ in range(3):
            async with clients.acquire() as db:
                counts.append(await db.fetchval("SELECT count(*) FROM events"))
        return counts


async def parameters(db):
    since = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    sql = "SELECT count(*) FROM events WHERE outcome = $1 AND event_time >= $2"
    counts = [await db.fetchval(sql, "failure", since)]
    counts.append(await db.fetchval("SELECT count(*) FROM events WHERE outcome = ANY($1)", ["failure"]))
    return counts


async def lists(db):
    row = await db.fetchrow("SELECT instance_ids, flags FROM stops WHERE cardinality(instance_ids) > 1 ORDER BY event_id LIMIT 1")
    return [type(row[0]).__name__, row[0]]


async def whole_row(db):
    return len(await db.fetchrow("SELECT * FROM events LIMIT 1"))


async def structs(db):
    rows = await db.fetch("SELECT resources FROM events WHERE resources IS NOT NULL LIMIT 2")
    return [type(row[0]).__name__ for row in rows]


async def portal(db):
    async with db.transaction(readonly=True):
        rows = 0
        async for _ in db.cursor("SELECT event_id FROM events", prefetch=130):
            rows += 1
        cursor = await db.cursor("SELECT value FROM generate_series(1, 10)")
        await cursor.forward(4)
        return [rows, (await cursor.fetchrow())[0], len(await cursor.fetch(100))]


async def prepared(db):
    statement = await db.prepare("SELECT event_id, event_time FROM events WHERE outcome = $1")
    return [[str(p.name) for p in statement.get_parameters()], [a.type.name for a in statement.get_attributes()]]


async def copied(db):
    import io

    out = io.BytesIO()
    await db.copy_from_query("SELECT event_id FROM events", output=out, format="csv")
    return out.getvalue().count(b"\n")


run(
    count=on_connection(lambda db: db.fetchval("SELECT count(*) FROM events")),
    parameters=on_connection(parameters),
    lists=on_connection(lists),
    structs=on_connection(structs),
    whole_row=on_connection(whole_row),
    portal=on_connection(portal),
    prepared=on_connection(prepared),
    copied=on_connection(copied),
    pool=lambda: asyncio.run(pool()),
    reset=on_connection(lambda db: db.reset()),
)
