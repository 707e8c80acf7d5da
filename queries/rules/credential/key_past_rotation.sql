-- A long-term key that was already in use ninety or more days ago.
-- One use per day is enough, so days are compared.
WITH days AS (
    SELECT coalesce(account_id, '') AS account, access_key_id AS who, date_bin(INTERVAL '1 day', event_time) AS day, min(event_time) AS first_time,
           max(event_time) AS last_time, first_value(event_key ORDER BY event_time, event_key) AS event_key
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind = 'long_term'
    GROUP BY coalesce(account_id, ''), access_key_id, date_bin(INTERVAL '1 day', event_time)
),
old AS (
    SELECT today.event_key, today.who, min(before.last_time) AS used
    FROM days AS today
    JOIN days AS before ON before.account = today.account AND before.who = today.who
    -- Uses more than half a year ago are ignored.
    WHERE before.first_time < today.first_time - INTERVAL '90 days' AND before.last_time >= today.first_time - INTERVAL '180 days'
    GROUP BY today.event_key, today.who
)
SELECT
    events.*,
    old.who,
    concat_ws('; ', 'key ' || mask_key(access_key_id), 'used on ' || CAST(CAST(used AS DATE) AS VARCHAR) || ' already', 'service ' || service_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM old
JOIN events ON events.event_key = old.event_key
