-- What the service saw at its last look at each source (microseconds since 1970 UTC; JSON). `lake info` shows it.
CREATE TABLE trailhound_source_survey(source TEXT PRIMARY KEY, surveyed_at BIGINT NOT NULL, survey TEXT NOT NULL){without_rowid};
