"""DuckDB reads the same gzip exports into its own typed Parquet: 33 flat columns, free-form objects as JSON text.

Usage: duckdb_ingest.py EVENTS_FOLDER OUT_FILE [THREADS]
"""
import sys
import duckdb

folder, out = sys.argv[1], sys.argv[2]
threads = sys.argv[3] if len(sys.argv) > 3 else "2"
db = duckdb.connect(config={"threads": threads})
db.execute("SET preserve_insertion_order = false")
identity = (
    "STRUCT(type VARCHAR, accountId VARCHAR, principalId VARCHAR, userName VARCHAR, accessKeyId VARCHAR, "
    "sessionContext STRUCT(attributes STRUCT(mfaAuthenticated VARCHAR, creationDate VARCHAR)))"
)
columns = {
    **{name: "VARCHAR" for name in (
        "eventId eventVersion eventName eventType eventCategory eventRW eventSource serviceName apiVersion acsRegion "
        "requestId requestParameterJson resourceType resourceName sourceIpAddress userAgent errorCode errorMessage "
        "recipientAccountId vpcId").split()},
    "eventTime": "TIMESTAMP",
    "isGlobal": "BOOLEAN",
    "requestParameters": "JSON",
    "responseElements": "JSON",
    "referencedResources": "JSON",
    "additionalEventData": "JSON",
    "userIdentity": identity,
}
spec = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
flat = [name for name in columns if name != "userIdentity"]
db.execute(f"""
COPY (
  SELECT {', '.join(flat)},
    userIdentity.type AS user_type, userIdentity.accountId AS account_id, userIdentity.principalId AS principal_id,
    userIdentity.userName AS user_name, userIdentity.accessKeyId AS access_key_id,
    userIdentity.sessionContext.attributes.mfaAuthenticated AS session_mfa,
    userIdentity.sessionContext.attributes.creationDate AS session_created_at
  FROM read_json('{folder}/**/*.gz', format = 'array', columns = {{{spec}}}, maximum_object_size = 33554432)
) TO '{out}' (FORMAT parquet, COMPRESSION zstd)
""")
