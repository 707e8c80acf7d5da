-- Thirty or more kinds of reading calls with one long-term key within any ten minutes.
WITH looked AS (
    SELECT events.*, access_key_id AS who
    FROM events
    WHERE event_time IS NOT NULL AND lower(event_rw) = 'read' AND credential_kind = 'long_term'
),
counted AS (
    SELECT *, count(DISTINCT lower(service_name) || ' ' || event_action) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM looked WHERE who IS NOT NULL
),
marked AS (
    SELECT *, max(in_window) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    marked.*,
    concat_ws('; ', CAST(most AS VARCHAR) || ' kinds of calls within 10 minutes', 'key ' || mask_key(access_key_id)) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
WHERE most >= 30
