-- From version 8 (0.1.0) to version 9 (0.2.0). 0.1.0 checks the version only when it opens a lake. So every table that its
-- commits, its maintenance and its leases write gets its new name here: a process of 0.1.0 that still runs fails to commit,
-- its positions stay where they are, and its leases end.
CREATE TABLE trailhound_schema(component TEXT PRIMARY KEY, version BIGINT NOT NULL){without_rowid};
ALTER TABLE trailhound_position RENAME COLUMN incarnation TO source_version;
ALTER TABLE trailhound_ledger RENAME TO trailhound_ingest_ledger;
ALTER TABLE trailhound_lease RENAME TO trailhound_leader_lease;
ALTER TABLE trailhound_file RENAME TO trailhound_file_checksum;
-- DuckLake renames a table by ending its row and adding one with the same id, uuid and folder, in a snapshot with a new schema version.
INSERT INTO ducklake_snapshot SELECT snapshot_id + 1, CAST({now} AS {instant}), schema_version + 1, next_catalog_id, next_file_id FROM ducklake_snapshot WHERE snapshot_id = (SELECT max(snapshot_id) FROM ducklake_snapshot);
INSERT INTO ducklake_snapshot_changes SELECT max(snapshot_id), 'created_table:"main"."event_copies"', 'trailhound', 'copies is renamed event_copies', NULL FROM ducklake_snapshot;
INSERT INTO ducklake_schema_versions SELECT snapshot_id, schema_version, 5 FROM ducklake_snapshot WHERE snapshot_id = (SELECT max(snapshot_id) FROM ducklake_snapshot);
INSERT INTO ducklake_table SELECT table_id, table_uuid, (SELECT max(snapshot_id) FROM ducklake_snapshot), NULL, schema_id, 'event_copies', path, path_is_relative FROM ducklake_table WHERE table_id = 5 AND end_snapshot IS NULL;
UPDATE ducklake_table SET end_snapshot = (SELECT max(snapshot_id) FROM ducklake_snapshot) WHERE table_id = 5 AND table_name = 'copies' AND end_snapshot IS NULL;
