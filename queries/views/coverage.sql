-- What the data of each account, region and day can show: how many events there are, of which kinds, in how many hours of the day, how
-- often what detections ask for is not known, and how long events took until they were in the lake. A day without events has no row.
SELECT
    account_id,
    acs_region,
    date_trunc('day', event_time) AS day,
    count(*) AS events,
    count(*) FILTER (WHERE lower(event_rw) = 'read') AS read_events,
    count(*) FILTER (WHERE lower(event_category) = 'data') AS data_events,
    count(DISTINCT date_trunc('hour', event_time)) AS hours_with_events,
    count(*) FILTER (WHERE event_action LIKE 'consolesignin%') AS sign_ins,
    count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND mfa = 'unknown') AS sign_ins_mfa_unknown,
    count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND source_class <> 'ip') AS sign_ins_address_undetermined,
    min(event_time) AS first_event,
    max(event_time) AS last_event,
    avg(date_part('epoch', ingested_at) - date_part('epoch', event_time)) AS lag_seconds_mean,
    max(date_part('epoch', ingested_at) - date_part('epoch', event_time)) AS lag_seconds_most
FROM events
WHERE event_time IS NOT NULL
GROUP BY 1, 2, 3
