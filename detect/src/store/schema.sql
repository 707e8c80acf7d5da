-- The tables of detection in the lake's catalog. Words in braces are spelled by each database in its own way. One table a line: a parser reads them.

-- The latest revision of each finding. SQL reads it as `findings`. Rows this long do not lie in their key's tree: each search would read whole rows.
CREATE TABLE trailhound_latest_finding(finding_id TEXT PRIMARY KEY, revision BIGINT NOT NULL, rule_id TEXT NOT NULL, rule_version TEXT NOT NULL, status TEXT NOT NULL, severity TEXT NOT NULL, account_id TEXT, first_seen TEXT {bytewise}, last_seen TEXT, snapshot_id BIGINT NOT NULL, finding TEXT NOT NULL);
-- The snapshot up to which each rule has run.
CREATE TABLE trailhound_rule_cursor(rule_id TEXT PRIMARY KEY, rule_version TEXT NOT NULL, snapshot_id BIGINT NOT NULL){without_rowid};
-- Messages to sinks: one row per finding, revision and sink, and one per report and sink (`kind`: finding or report). Times are microseconds since 1970 UTC.
-- `finding` holds the message's text; it is empty while that revision is the latest, and once the message is delivered or dismissed. Rows lie in the order
-- in which they were added, so that those which are sent together lie together.
CREATE TABLE trailhound_outbox_message(sink TEXT NOT NULL, finding_id TEXT NOT NULL, revision BIGINT NOT NULL, severity TEXT NOT NULL, state TEXT NOT NULL, holder TEXT NOT NULL, attempts BIGINT NOT NULL, unsure BIGINT NOT NULL, queued_at BIGINT NOT NULL, due_at BIGINT NOT NULL, changed_at BIGINT NOT NULL, note TEXT NOT NULL, finding TEXT NOT NULL, kind TEXT NOT NULL DEFAULT 'finding', PRIMARY KEY (finding_id, revision, sink));
CREATE INDEX trailhound_outbox_by_state ON trailhound_outbox_message(state, sink, due_at, finding_id, revision);
-- How far the file of a file sink is written: its path and length.
CREATE TABLE trailhound_sink_position(sink TEXT PRIMARY KEY, position TEXT NOT NULL){without_rowid};
-- The outcome of each time at which a scheduled report was due (microseconds since 1970 UTC).
CREATE TABLE trailhound_report_run(report TEXT NOT NULL, due_at BIGINT NOT NULL, state TEXT NOT NULL, changed_at BIGINT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (report, due_at)){without_rowid};
CREATE INDEX trailhound_findings_by_time ON trailhound_latest_finding(rule_id, first_seen);
CREATE INDEX trailhound_findings_in_order ON trailhound_latest_finding(first_seen, finding_id);
