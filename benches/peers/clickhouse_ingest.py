"""ClickHouse (chDB) reads the same gzip exports into its own typed Parquet.

Usage: clickhouse_ingest.py EVENTS_FOLDER OUT_FILE [THREADS]
"""
import sys
import chdb

folder, out = sys.argv[1], sys.argv[2]
threads = sys.argv[3] if len(sys.argv) > 3 else "2"
text = (
    "eventId eventVersion eventName eventTime eventType eventCategory eventRW eventSource serviceName apiVersion acsRegion requestId "
    "requestParameterJson resourceType resourceName sourceIpAddress userAgent errorCode errorMessage recipientAccountId vpcId "
    "requestParameters responseElements referencedResources additionalEventData userIdentity"
).split()
columns = ", ".join(f"{name} Nullable(String)" for name in text)
flat = ", ".join(name for name in text if name not in ("userIdentity", "eventTime"))
chdb.query(f"""
SELECT {flat}, parseDateTimeBestEffortOrNull(eventTime) AS eventTime,
  JSONExtractString(userIdentity, 'type') AS user_type, JSONExtractString(userIdentity, 'accountId') AS account_id,
  JSONExtractString(userIdentity, 'principalId') AS principal_id, JSONExtractString(userIdentity, 'userName') AS user_name,
  JSONExtractString(userIdentity, 'accessKeyId') AS access_key_id,
  JSONExtractString(userIdentity, 'sessionContext', 'attributes', 'mfaAuthenticated') AS session_mfa
FROM file('{folder}/**/*.gz', 'JSONEachRow', '{columns}')
INTO OUTFILE '{out}' TRUNCATE FORMAT Parquet
SETTINGS max_threads = {threads}, input_format_json_read_objects_as_strings = 1, input_format_json_read_bools_as_strings = 1,
  input_format_json_read_numbers_as_strings = 1, output_format_parquet_compression_method = 'zstd', input_format_skip_unknown_fields = 1
""")
