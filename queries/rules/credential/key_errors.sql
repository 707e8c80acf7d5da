-- Fifty or more failed calls with one long-term key within any half hour.
-- The windows run over few columns; the whole events are joined at the end.
WITH failed AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, access_key_id AS who
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind = 'long_term' AND outcome = 'failure'
),
counted AS (
    SELECT *, count(*) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '30 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM failed WHERE who IS NOT NULL
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '30 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ', CAST(most AS VARCHAR) || ' failed calls within 30 minutes', 'key ' || mask_key(access_key_id), 'error ' || error_code) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 50
