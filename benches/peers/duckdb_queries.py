"""DuckDB on its own typed Parquet file: the four predicates and a look-up by event id, medians of five.

Usage: duckdb_queries.py FILE EVENT_ID [THREADS]
"""
import json
import statistics
import sys
import time
import duckdb

file, event_id = sys.argv[1], sys.argv[2]
db = duckdb.connect(config={"threads": sys.argv[3] if len(sys.argv) > 3 else "2"})
db.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet('{file}')")
success = "coalesce(errorCode, '') = '' AND coalesce(errorMessage, '') IN ('', 'success')"
signed_in = f"lower(eventName) = 'consolesignin' AND {success}"
columns = "SELECT eventId, eventTime, user_name, sourceIpAddress FROM events WHERE "
predicates = [
    columns + signed_in + " AND lower(coalesce(additionalEventData->>'mfaChecked', additionalEventData->>'isMFAChecked')) = 'false'",
    columns + signed_in + r" AND regexp_matches(sourceIpAddress, '^[0-9a-fA-F:.]+$') AND NOT starts_with(replace(sourceIpAddress, '::ffff:', ''), '203.0.113.')",
    columns + "user_type = 'root-account' AND coalesce(access_key_id, '') NOT IN ('', 'NULL') AND NOT starts_with(access_key_id, 'STS.') AND NOT starts_with(access_key_id, 'TMP.')",
    columns + "lower(eventName) IN ('stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances', 'deleteinstance', 'deleteinstances', 'release') AND serviceName = 'Ecs' AND "
    + success + " AND coalesce(lower(requestParameters->>'DryRun'), 'false') <> 'true'",
]


def median(run):
    times = []
    for _ in range(5):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


rows = [len(db.execute(sql).fetchall()) for sql in predicates]
print(json.dumps({
    "predicates_rows": rows,
    "predicates": median(lambda: [db.execute(sql).fetchall() for sql in predicates]),
    "by_event_id": median(lambda: db.execute("SELECT * FROM events WHERE eventId = ?", [event_id]).fetchall()),
}))
