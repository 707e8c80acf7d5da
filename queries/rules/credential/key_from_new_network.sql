-- A long-term key used from a network (/24, for IPv6 /48) from which it was not used in the thirty days before, although it was in use.
-- Only the first use of a network on a day can be new, so the windows run over days.
WITH used AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, access_key_id AS who, left(encode(source_ip, 'hex'), CASE WHEN client_ip LIKE '%:%' THEN 12 ELSE 30 END) AS network
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind = 'long_term' AND source_class = 'ip'
),
days AS (
    SELECT account, who, network, date_bin(INTERVAL '1 day', event_time) AS day, min(event_time) AS first_time, max(event_time) AS last_time,
           first_value(event_key ORDER BY event_time, event_key) AS event_key
    FROM used
    GROUP BY account, who, network, date_bin(INTERVAL '1 day', event_time)
),
followed AS (
    SELECT *, lag(last_time) OVER (PARTITION BY account, who, network ORDER BY day) AS used_before
    FROM days
),
fresh AS (
    SELECT account, who, first_time, event_key
    FROM followed
    WHERE used_before IS NULL OR used_before < first_time - INTERVAL '30 days'
),
-- Only keys that were in use for at least a week: every network of a newer key is new.
known AS (
    SELECT DISTINCT fresh.event_key, fresh.who
    FROM fresh
    JOIN days ON days.account = fresh.account AND days.who = fresh.who
    WHERE (days.first_time >= fresh.first_time - INTERVAL '30 days' AND days.first_time < fresh.first_time - INTERVAL '7 days')
       OR (days.last_time >= fresh.first_time - INTERVAL '30 days' AND days.last_time < fresh.first_time - INTERVAL '7 days')
)
SELECT
    events.*,
    known.who,
    concat_ws('; ', 'key ' || mask_key(access_key_id), 'from ' || source_ip_address, 'a network it was not used from for 30 days', 'event = ' || event_name) AS why
FROM known
JOIN events ON events.event_key = known.event_key
