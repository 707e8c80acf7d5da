WITH days AS (
    SELECT access_key_id AS who, date_bin(INTERVAL '1 day', event_time) AS day, first_value(event_key ORDER BY event_time, event_key) AS event_key
    FROM events
    WHERE credential_kind = 'long_term' AND event_time IS NOT NULL
    GROUP BY access_key_id, date_bin(INTERVAL '1 day', event_time)
),
fresh AS (
    SELECT who, event_key, lag(day) OVER (PARTITION BY who ORDER BY day) AS before
    FROM days
)
SELECT events.*, fresh.who, concat('key ', mask_key(access_key_id), ' was not seen before') AS why
FROM fresh
JOIN events ON events.event_key = fresh.event_key
WHERE fresh.before IS NULL
