-- Ten or more resources deleted or released by one principal within any ten minutes.
WITH deleted AS (
    SELECT events.*, principal_id AS who
    FROM events
    WHERE event_time IS NOT NULL AND (event_action LIKE 'delete%' OR event_action LIKE 'release%' OR event_action LIKE 'destroy%')
      AND outcome = 'success' AND coalesce(lower(service_name), '') NOT IN ('oss', 'sls')
      AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
),
counted AS (
    SELECT *, count(DISTINCT coalesce(resource_name, request_parameters)) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM deleted WHERE who IS NOT NULL
),
marked AS (
    SELECT *, max(in_window) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    marked.*,
    concat_ws('; ', CAST(most AS VARCHAR) || ' resources within 10 minutes', 'event = ' || event_name, 'resource ' || resource_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
WHERE most >= 10
