-- What the data of each account, region and day can show: number and kinds of events, hours of the day with events, how often facts
-- that rules need are unknown, and how long events took until they were stored. A day without events has no row.
--| account_id: Account; NULL for events that name none.
--| acs_region: Region; NULL likewise.
--| day: Start of the day, UTC.
--| events: Number of events.
--| read_events: Read events.
--| data_events: Data events of OSS and SLS.
--| hours_with_events: Hours of the day with at least one event.
--| sign_ins: Console sign-ins, failed ones included.
--| sign_ins_mfa_unknown: Sign-ins that do not say whether MFA was used.
--| sign_ins_address_undetermined: Sign-ins whose source is not an IP address.
--| first_event: Time of the first event.
--| last_event: Time of the last event.
--| lag_seconds_mean: Mean time from the event until it was stored, in seconds.
--| lag_seconds_most: Longest time from an event until it was stored, in seconds.
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
