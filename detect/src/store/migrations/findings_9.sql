-- From version 8 (0.1.0) to version 9 (0.2.0). Tables that 0.1.0 writes get their new names, so that a process of 0.1.0 that
-- still runs keeps no findings and moves no cursors.
ALTER TABLE trailhound_finding RENAME TO trailhound_latest_finding;
ALTER TABLE trailhound_outbox RENAME TO trailhound_outbox_message;
ALTER TABLE trailhound_outbox_message ADD COLUMN kind TEXT NOT NULL DEFAULT 'finding';
UPDATE trailhound_outbox_message SET kind = 'report' WHERE finding_id LIKE 'report:%';
UPDATE trailhound_outbox_message SET state = 'dead_lettered' WHERE state = 'parked';
ALTER TABLE trailhound_sink RENAME TO trailhound_sink_position;
ALTER TABLE trailhound_report RENAME TO trailhound_report_run;
