-- From version 8 (0.1.0) to version 9 (0.2.0).
ALTER TABLE trailhound_query RENAME TO trailhound_query_log;
