-- One long-term key used from five or more networks (/24, for IPv6 /48) within any hour.
-- The windows run over few columns; the whole events are joined at the end.
WITH used AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, access_key_id AS who, left(encode(source_ip, 'hex'), CASE WHEN client_ip LIKE '%:%' THEN 12 ELSE 30 END) AS thing
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind = 'long_term' AND source_class = 'ip'
),
counted AS (
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '60 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM used WHERE who IS NOT NULL
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '60 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ', 'key ' || mask_key(access_key_id), 'from ' || CAST(most AS VARCHAR) || ' networks within an hour', 'from ' || source_ip_address) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 5
