-- What the data of each account, region and day can show: how many events there are, of which kinds, in how many hours of the day, how
-- often what detections ask for is not known, and how long events took until they were in the lake. A day without events has no row.
--| account_id: Account; NULL for events that name none.
--| acs_region: Region; NULL likewise.
--| day: The day, UTC, as its first moment.
--| events: Events.
--| read_events: Those that only read.
--| data_events: Those of the data plane: objects and logs.
--| hours_with_events: Hours of the day with at least one.
--| sign_ins: Sign-ins to the console, tried or done.
--| sign_ins_mfa_unknown: Those that do not say whether MFA was used.
--| sign_ins_address_undetermined: Those that come from something that is no address.
--| first_event: Time of the first.
--| last_event: Time of the last.
--| lag_seconds_mean: Mean time until an event was in the lake, in seconds.
--| lag_seconds_most: The longest.
SELECT
    account_id,
    acs_region,
    date_bin(INTERVAL '1 day', event_time) AS day,
    count(*) AS events,
    count(*) FILTER (WHERE lower(event_rw) = 'read') AS read_events,
    count(*) FILTER (WHERE lower(event_category) = 'data') AS data_events,
    count(DISTINCT date_bin(INTERVAL '1 hour', event_time)) AS hours_with_events,
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
