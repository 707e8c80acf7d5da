-- Five hundred or more objects read or deleted by one principal within any ten minutes.
WITH touched AS (
    SELECT events.*, principal_id AS who
    FROM events
    WHERE event_time IS NOT NULL AND event_action IN ('getobject', 'deleteobject', 'deletemultipleobjects') AND lower(service_name) = 'oss' AND outcome = 'success'
),
counted AS (
    SELECT *, count(*) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM touched WHERE who IS NOT NULL
),
marked AS (
    SELECT *, max(in_window) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    marked.*,
    concat_ws('; ', CAST(most AS VARCHAR) || ' objects within 10 minutes', 'event = ' || event_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
WHERE most >= 500
