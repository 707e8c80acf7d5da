-- Ten or more resources deleted or released by one principal within any ten minutes.
-- The windows run over few columns; the whole events are joined at the end.
WITH deleted AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, principal_id AS who, coalesce(resource_name, request_parameters) AS thing
    FROM events
    WHERE event_time IS NOT NULL AND (event_action LIKE 'delete%' OR event_action LIKE 'release%' OR event_action LIKE 'destroy%')
      AND outcome = 'success' AND coalesce(lower(service_name), '') NOT IN ('oss', 'sls')
      AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
),
counted AS (
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM deleted WHERE who IS NOT NULL
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ', CAST(most AS VARCHAR) || ' resources within 10 minutes', 'event = ' || event_name, 'resource ' || resource_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 10
