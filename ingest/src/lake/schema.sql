-- The DuckLake 1.0 catalog, table for table as DuckDB's own extension creates it in SQLite and in PostgreSQL, so that any
-- DuckLake client can attach the lake. Below it stand the tables of ingest: what a commit changes together with the data.
-- Words in braces are types and clauses that each database spells in its own way. One table a line: a parser reads them.

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

-- The version of each crate's tables. Whoever writes to the catalog checks it inside of its transaction.
CREATE TABLE trailhound_schema(component TEXT PRIMARY KEY, version BIGINT NOT NULL){without_rowid};
-- How far each object (file, bucket object, topic partition) of each source is stored. `source_version` tells apart what stood under one name: the content
-- of an object, the epoch of a topic. `records` counts the records read, stored or not.
CREATE TABLE trailhound_position(source TEXT NOT NULL, object TEXT {bytewise} NOT NULL, source_version TEXT NOT NULL, records BIGINT NOT NULL, done BIGINT NOT NULL, notes TEXT NOT NULL, snapshot_id BIGINT NOT NULL, PRIMARY KEY (source, object)){without_rowid};
-- One row per commit and source: received = stored + duplicate + quarantined + expired. Detection reads `snapshot_id` and `stored`.
CREATE TABLE trailhound_ingest_ledger(snapshot_id BIGINT NOT NULL, source TEXT NOT NULL, received BIGINT NOT NULL, stored BIGINT NOT NULL, duplicate BIGINT NOT NULL, quarantined BIGINT NOT NULL, expired BIGINT NOT NULL, PRIMARY KEY (snapshot_id, source)){without_rowid};
-- Records of a source that can no longer be read: from the first missing one to the first after them.
CREATE TABLE trailhound_gap(snapshot_id BIGINT NOT NULL, source TEXT NOT NULL, object TEXT NOT NULL, from_record BIGINT NOT NULL, to_record BIGINT NOT NULL, reason TEXT NOT NULL, noted_at TEXT NOT NULL);
-- Which of several services holds a task that only one may do, and until when (microseconds since 1970 UTC). Detection checks that it still holds its own.
CREATE TABLE trailhound_leader_lease(name TEXT PRIMARY KEY, holder TEXT NOT NULL, until BIGINT NOT NULL){without_rowid};
-- Checksum of each data file (XXH3, 128 bit, hex).
CREATE TABLE trailhound_file_checksum(data_file_id BIGINT PRIMARY KEY, xxh3 TEXT NOT NULL);
CREATE INDEX trailhound_live_files ON ducklake_data_file(table_id, end_snapshot);
CREATE INDEX trailhound_file_stats ON ducklake_file_column_stats(table_id, column_id, data_file_id);
CREATE INDEX trailhound_partition_values ON ducklake_file_partition_value(data_file_id);
