-- Five hundred or more objects read or deleted by one principal within any ten minutes.
-- The windows run over few columns; the whole events are joined at the end.
WITH touched AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, principal_id AS who
    FROM events
    WHERE event_time IS NOT NULL AND event_action IN ('getobject', 'deleteobject', 'deletemultipleobjects') AND lower(service_name) = 'oss' AND outcome = 'success'
),
counted AS (
    SELECT *, count(*) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM touched WHERE who IS NOT NULL
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ', CAST(most AS VARCHAR) || ' objects within 10 minutes', 'event = ' || event_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 500
