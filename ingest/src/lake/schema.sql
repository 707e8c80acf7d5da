-- The DuckLake 1.0 catalogue, table for table as DuckDB's own extension creates it in SQLite and in PostgreSQL, so that any DuckLake
-- client can attach the lake: types in braces are named by each database in its own way. Below it, our own tables: what one
-- commit must move together with the data.

CREATE TABLE ducklake_metadata(key VARCHAR NOT NULL, value VARCHAR NOT NULL, "scope" VARCHAR, scope_id BIGINT);
CREATE TABLE ducklake_snapshot(snapshot_id BIGINT PRIMARY KEY, snapshot_time {instant}, schema_version BIGINT, next_catalog_id BIGINT, next_file_id BIGINT);
CREATE TABLE ducklake_snapshot_changes(snapshot_id BIGINT PRIMARY KEY, changes_made VARCHAR, author VARCHAR, commit_message VARCHAR, commit_extra_info VARCHAR);
CREATE TABLE ducklake_schema(schema_id BIGINT PRIMARY KEY, schema_uuid {uuid}, begin_snapshot BIGINT, end_snapshot BIGINT, schema_name VARCHAR, path VARCHAR, path_is_relative {boolean});
CREATE TABLE ducklake_table(table_id BIGINT, table_uuid {uuid}, begin_snapshot BIGINT, end_snapshot BIGINT, schema_id BIGINT, table_name VARCHAR, path VARCHAR, path_is_relative {boolean});
CREATE TABLE ducklake_view(view_id BIGINT, view_uuid {uuid}, begin_snapshot BIGINT, end_snapshot BIGINT, schema_id BIGINT, view_name VARCHAR, dialect VARCHAR, "sql" VARCHAR, column_aliases VARCHAR);
CREATE TABLE ducklake_tag(object_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, key VARCHAR, value VARCHAR);
CREATE TABLE ducklake_column_tag(table_id BIGINT, column_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, key VARCHAR, value VARCHAR);
CREATE TABLE ducklake_data_file(data_file_id BIGINT PRIMARY KEY, table_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, file_order BIGINT, path VARCHAR, path_is_relative {boolean}, file_format VARCHAR, record_count BIGINT, file_size_bytes BIGINT, footer_size BIGINT, row_id_start BIGINT, partition_id BIGINT, encryption_key VARCHAR, mapping_id BIGINT, partial_max BIGINT);
CREATE TABLE ducklake_file_column_stats(data_file_id BIGINT, table_id BIGINT, column_id BIGINT, column_size_bytes BIGINT, value_count BIGINT, null_count BIGINT, min_value VARCHAR, max_value VARCHAR, contains_nan {boolean}, extra_stats VARCHAR);
CREATE TABLE ducklake_file_variant_stats(data_file_id BIGINT, table_id BIGINT, column_id BIGINT, variant_path VARCHAR, shredded_type VARCHAR, column_size_bytes BIGINT, value_count BIGINT, null_count BIGINT, min_value VARCHAR, max_value VARCHAR, contains_nan {boolean}, extra_stats VARCHAR);
CREATE TABLE ducklake_delete_file(delete_file_id BIGINT PRIMARY KEY, table_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, data_file_id BIGINT, path VARCHAR, path_is_relative {boolean}, format VARCHAR, delete_count BIGINT, file_size_bytes BIGINT, footer_size BIGINT, encryption_key VARCHAR, partial_max BIGINT);
CREATE TABLE ducklake_column(column_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, table_id BIGINT, column_order BIGINT, column_name VARCHAR, column_type VARCHAR, initial_default VARCHAR, default_value VARCHAR, nulls_allowed {boolean}, parent_column BIGINT, default_value_type VARCHAR, default_value_dialect VARCHAR);
CREATE TABLE ducklake_table_stats(table_id BIGINT, record_count BIGINT, next_row_id BIGINT, file_size_bytes BIGINT);
CREATE TABLE ducklake_table_column_stats(table_id BIGINT, column_id BIGINT, contains_null {boolean}, contains_nan {boolean}, min_value VARCHAR, max_value VARCHAR, extra_stats VARCHAR);
CREATE TABLE ducklake_partition_info(partition_id BIGINT, table_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT);
CREATE TABLE ducklake_partition_column(partition_id BIGINT, table_id BIGINT, partition_key_index BIGINT, column_id BIGINT, "transform" VARCHAR);
CREATE TABLE ducklake_file_partition_value(data_file_id BIGINT, table_id BIGINT, partition_key_index BIGINT, partition_value VARCHAR);
CREATE TABLE ducklake_files_scheduled_for_deletion(data_file_id BIGINT, path VARCHAR, path_is_relative {boolean}, schedule_start {instant});
CREATE TABLE ducklake_inlined_data_tables(table_id BIGINT, table_name VARCHAR, schema_version BIGINT);
CREATE TABLE ducklake_column_mapping(mapping_id BIGINT, table_id BIGINT, "type" VARCHAR);
CREATE TABLE ducklake_name_mapping(mapping_id BIGINT, column_id BIGINT, source_name VARCHAR, target_field_id BIGINT, parent_column BIGINT, is_partition {boolean});
CREATE TABLE ducklake_schema_versions(begin_snapshot BIGINT, schema_version BIGINT, table_id BIGINT);
CREATE TABLE ducklake_macro(schema_id BIGINT, macro_id BIGINT, macro_name VARCHAR, begin_snapshot BIGINT, end_snapshot BIGINT);
CREATE TABLE ducklake_macro_impl(macro_id BIGINT, impl_id BIGINT, dialect VARCHAR, "sql" VARCHAR, "type" VARCHAR);
CREATE TABLE ducklake_macro_parameters(macro_id BIGINT, impl_id BIGINT, column_id BIGINT, parameter_name VARCHAR, parameter_type VARCHAR, default_value VARCHAR, default_value_type VARCHAR);
CREATE TABLE ducklake_sort_info(sort_id BIGINT, table_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT);
CREATE TABLE ducklake_sort_expression(sort_id BIGINT, table_id BIGINT, sort_key_index BIGINT, expression VARCHAR, dialect VARCHAR, sort_direction VARCHAR, null_order VARCHAR);

-- How far each object of each source is stored. `records` counts the records taken, stored or not.
CREATE TABLE trailhound_position(source TEXT NOT NULL, object TEXT {bytewise} NOT NULL, incarnation TEXT NOT NULL, records BIGINT NOT NULL, done BIGINT NOT NULL, notes TEXT NOT NULL, snapshot_id BIGINT NOT NULL, PRIMARY KEY (source, object)){without_rowid};
-- One row a commit: received = stored + duplicate + quarantined + expired.
CREATE TABLE trailhound_ledger(snapshot_id BIGINT NOT NULL, source TEXT NOT NULL, received BIGINT NOT NULL, stored BIGINT NOT NULL, duplicate BIGINT NOT NULL, quarantined BIGINT NOT NULL, expired BIGINT NOT NULL, PRIMARY KEY (snapshot_id, source)){without_rowid};
-- Records of a source that can no longer be read, from the first missing to the first after.
CREATE TABLE trailhound_gap(snapshot_id BIGINT NOT NULL, source TEXT NOT NULL, object TEXT NOT NULL, from_record BIGINT NOT NULL, to_record BIGINT NOT NULL, reason TEXT NOT NULL, noted_at TEXT NOT NULL);
-- Who does what only one of several services may do, until when (microseconds since 1970 UTC).
CREATE TABLE trailhound_lease(name TEXT PRIMARY KEY, holder TEXT NOT NULL, until BIGINT NOT NULL){without_rowid};
-- Checksum of each data file (XXH3, 128 bit, hex).
CREATE TABLE trailhound_file(data_file_id BIGINT PRIMARY KEY, xxh3 TEXT NOT NULL);
-- Findings with their revisions, and how far each rule has run. Rows this long do not lie in their key's tree: each search would read whole rows.
CREATE TABLE trailhound_finding(finding_id TEXT PRIMARY KEY, revision BIGINT NOT NULL, rule_id TEXT NOT NULL, rule_version TEXT NOT NULL, status TEXT NOT NULL, severity TEXT NOT NULL, account_id TEXT, first_seen TEXT {bytewise}, last_seen TEXT, snapshot_id BIGINT NOT NULL, finding TEXT NOT NULL);
CREATE TABLE trailhound_rule_cursor(rule_id TEXT PRIMARY KEY, rule_version TEXT NOT NULL, snapshot_id BIGINT NOT NULL){without_rowid};
-- Who asked what by the doors of the service (microseconds since 1970 UTC).
CREATE TABLE trailhound_query(query_id TEXT PRIMARY KEY, asked_at BIGINT NOT NULL, door TEXT NOT NULL, who TEXT NOT NULL, address TEXT NOT NULL, statement TEXT NOT NULL, result TEXT NOT NULL, row_count BIGINT NOT NULL, byte_count BIGINT NOT NULL, took_micros BIGINT NOT NULL);
-- What is to be told to whom: one row a finding, revision and sink. Times are microseconds since 1970 UTC; `finding` is empty while that revision is the one that is kept, and once it is delivered or dismissed.
-- Rows lie in the order in which they came: those that are told together lie together.
CREATE TABLE trailhound_outbox(sink TEXT NOT NULL, finding_id TEXT NOT NULL, revision BIGINT NOT NULL, severity TEXT NOT NULL, state TEXT NOT NULL, holder TEXT NOT NULL, attempts BIGINT NOT NULL, unsure BIGINT NOT NULL, queued_at BIGINT NOT NULL, due_at BIGINT NOT NULL, changed_at BIGINT NOT NULL, note TEXT NOT NULL, finding TEXT NOT NULL, PRIMARY KEY (finding_id, revision, sink));
CREATE INDEX trailhound_outbox_by_state ON trailhound_outbox(state, sink, due_at, finding_id, revision);
-- How far a sink that is a file has been written: its place and length.
CREATE TABLE trailhound_sink(sink TEXT PRIMARY KEY, position TEXT NOT NULL){without_rowid};
-- What became of each time a scheduled report was due (microseconds since 1970 UTC).
CREATE TABLE trailhound_report(report TEXT NOT NULL, due_at BIGINT NOT NULL, state TEXT NOT NULL, changed_at BIGINT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (report, due_at)){without_rowid};
CREATE INDEX trailhound_queries_by_time ON trailhound_query(asked_at);
CREATE INDEX trailhound_findings_by_time ON trailhound_finding(rule_id, first_seen);
CREATE INDEX trailhound_findings_in_order ON trailhound_finding(first_seen, finding_id);
CREATE INDEX trailhound_live_files ON ducklake_data_file(table_id, end_snapshot);
CREATE INDEX trailhound_file_stats ON ducklake_file_column_stats(table_id, column_id, data_file_id);
CREATE INDEX trailhound_partition_values ON ducklake_file_partition_value(data_file_id);
