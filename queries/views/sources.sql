-- The lake's rows by source: how many events each source has delivered, how many records of it are in quarantine, and when it last delivered an event.
--| source: Name of the source.
--| events: Events that it was the first to deliver.
--| copies: Events that another source had delivered before.
--| quarantined: Its records in `quarantine`, which are not valid events.
--| objects: Number of files, objects or topics that its events came from.
--| first_event: Time of its oldest event.
--| last_event: Time of its newest event.
--| last_ingested: When its last event was stored.
SELECT source, sum(events) AS events, sum(copies) AS copies, sum(quarantined) AS quarantined, sum(objects) AS objects,
       min(first_event) AS first_event, max(last_event) AS last_event, max(last_ingested) AS last_ingested
FROM (
    SELECT source, count(*) AS events, 0 AS copies, 0 AS quarantined, count(DISTINCT source_object) AS objects,
           min(event_time) AS first_event, max(event_time) AS last_event, max(ingested_at) AS last_ingested
    FROM events GROUP BY source
    UNION ALL
    SELECT source, 0, count(*), 0, 0, NULL, NULL, NULL FROM event_copies GROUP BY source
    UNION ALL
    SELECT source, 0, 0, count(*), 0, NULL, NULL, NULL FROM quarantine GROUP BY source
)
GROUP BY source
