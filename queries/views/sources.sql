-- Where the lake's rows come from: for each source, what it has brought, what of it stands in quarantine, and when it last brought anything.
--| source: Name of the source.
--| events: Events it was the first to bring.
--| copies: Events it brought that another source had brought before.
--| quarantined: Records of it that are no events and stand in `quarantine`.
--| objects: Files, objects or topics its events came from.
--| first_event: Time of its oldest event.
--| last_event: Time of its newest event.
--| last_ingested: When an event of it was stored last.
SELECT source, sum(events) AS events, sum(copies) AS copies, sum(quarantined) AS quarantined, sum(objects) AS objects,
       min(first_event) AS first_event, max(last_event) AS last_event, max(last_ingested) AS last_ingested
FROM (
    SELECT source, count(*) AS events, 0 AS copies, 0 AS quarantined, count(DISTINCT source_object) AS objects,
           min(event_time) AS first_event, max(event_time) AS last_event, max(ingested_at) AS last_ingested
    FROM events GROUP BY source
    UNION ALL
    SELECT source, 0, count(*), 0, 0, NULL, NULL, NULL FROM copies GROUP BY source
    UNION ALL
    SELECT source, 0, 0, count(*), 0, NULL, NULL, NULL FROM quarantine GROUP BY source
)
GROUP BY source
