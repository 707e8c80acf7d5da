--! title = { en = "How the events came", zh = "数据接入" }
--! about = { en = "By source: events of the period, how long they took until they were in the lake, and records stored in the period that were no events.", zh = "各来源：本期事件、入湖延迟，以及本期内被隔离的记录。" }
--! empty = { en = "No source brought anything.", zh = "没有任何来源的数据。" }
WITH brought AS (
    SELECT source, count(*) AS events, 0 AS quarantined, avg(date_part('epoch', ingested_at) - date_part('epoch', event_time)) AS lag_mean,
           max(date_part('epoch', ingested_at) - date_part('epoch', event_time)) AS lag_most, min(event_time) AS first_seen, max(event_time) AS last_seen
    FROM events WHERE event_time >= $since AND event_time < $until GROUP BY source
    UNION ALL
    SELECT source, 0, count(*), NULL, NULL, NULL, NULL FROM quarantine
    WHERE ingested_at >= $since AND ingested_at < $until AND ingested_at <= $stored_until GROUP BY source
)
SELECT source, sum(events) AS events, sum(quarantined) AS quarantined, CAST(round(max(lag_mean)) AS BIGINT) AS lag_seconds_mean,
       CAST(round(max(lag_most)) AS BIGINT) AS lag_seconds_most, min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM brought GROUP BY source ORDER BY source
