-- Each query that the service was asked, also a refused or cancelled one (microseconds since 1970 UTC). SQL reads it as `query_log`.
CREATE TABLE trailhound_query_log(query_id TEXT PRIMARY KEY, asked_at BIGINT NOT NULL, door TEXT NOT NULL, who TEXT NOT NULL, address TEXT NOT NULL, statement TEXT NOT NULL, result TEXT NOT NULL, row_count BIGINT NOT NULL, byte_count BIGINT NOT NULL, took_micros BIGINT NOT NULL);
CREATE INDEX trailhound_queries_by_time ON trailhound_query_log(asked_at);
