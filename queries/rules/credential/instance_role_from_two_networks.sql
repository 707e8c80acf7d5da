-- The credentials of one instance's role, used from two networks (/24, /48 for IPv6) within any hour.
-- The windows run over few columns; the whole events are joined at the end.
WITH used AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, session_name AS who, CASE WHEN client_ip LIKE '%:%' THEN concat_ws(':', split_part(client_ip, ':', 1), split_part(client_ip, ':', 2), split_part(client_ip, ':', 3)) ELSE concat_ws('.', split_part(client_ip, '.', 1), split_part(client_ip, '.', 2), split_part(client_ip, '.', 3)) END AS thing
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind = 'temporary' AND source_class = 'ip' AND session_name LIKE 'i-%'
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
    concat_ws('; ', CAST(most AS VARCHAR) || ' networks within an hour', 'session ' || session_name, 'from ' || client_ip) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 2
