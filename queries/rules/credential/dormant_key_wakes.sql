-- A long-term key used again after ninety days or more without any use.
-- Only the first use on a day can follow a long pause, so the windows run over days.
WITH days AS (
    SELECT coalesce(account_id, '') AS account, access_key_id AS who, date_bin(INTERVAL '1 day', event_time) AS day, min(event_time) AS first_time,
           max(event_time) AS last_time, first_value(event_key ORDER BY event_time, event_key) AS event_key
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind = 'long_term'
    GROUP BY coalesce(account_id, ''), access_key_id, date_bin(INTERVAL '1 day', event_time)
),
followed AS (
    SELECT *, lag(last_time) OVER (PARTITION BY account, who ORDER BY day) AS used_before
    FROM days
),
awake AS (
    SELECT event_key, who, used_before, date_part('epoch', first_time) - date_part('epoch', used_before) AS seconds
    FROM followed
    -- Uses more than half a year ago are ignored.
    WHERE used_before < first_time - INTERVAL '90 days' AND used_before >= first_time - INTERVAL '180 days'
)
SELECT
    events.*,
    awake.who,
    concat_ws('; ', 'key ' || mask_key(access_key_id), CAST(CAST(floor(seconds / 86400) AS BIGINT) AS VARCHAR) || ' days without use', 'from ' || source_ip_address, 'event = ' || event_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM awake
JOIN events ON events.event_key = awake.event_key
