-- The credentials of one instance's role, used from two networks (/24, /48 for IPv6) within any hour.
WITH used AS (
    SELECT events.*, session_name AS who
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind = 'temporary' AND source_class = 'ip' AND session_name LIKE 'i-%'
),
counted AS (
    SELECT *, count(DISTINCT CASE WHEN client_ip LIKE '%:%' THEN concat_ws(':', split_part(client_ip, ':', 1), split_part(client_ip, ':', 2), split_part(client_ip, ':', 3)) ELSE concat_ws('.', split_part(client_ip, '.', 1), split_part(client_ip, '.', 2), split_part(client_ip, '.', 3)) END) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '60 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM used WHERE who IS NOT NULL
),
marked AS (
    SELECT *, max(in_window) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '60 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    marked.*,
    concat_ws('; ', CAST(most AS VARCHAR) || ' networks within an hour', 'session ' || session_name, 'from ' || client_ip) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
WHERE most >= 2
