-- Thirty or more kinds of reading calls with one long-term key within any ten minutes.
-- The windows run over few columns; the whole events are joined at the end.
WITH looked AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, access_key_id AS who, lower(service_name) || ' ' || event_action AS thing
    FROM events
    WHERE event_time IS NOT NULL AND lower(event_rw) = 'read' AND credential_kind = 'long_term'
),
counted AS (
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM looked WHERE who IS NOT NULL
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ', CAST(most AS VARCHAR) || ' kinds of calls within 10 minutes', 'key ' || mask_key(access_key_id)) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 30
