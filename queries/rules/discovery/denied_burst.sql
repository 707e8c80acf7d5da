-- More than five refused calls of one principal to one service within any two minutes.
-- The windows run over few columns; the whole events are joined at the end.
WITH refused AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, principal_id || ' ' || lower(service_name) AS who
    FROM events
    WHERE event_time IS NOT NULL AND outcome = 'failure' AND (error_code LIKE 'NoPermission%' OR error_code LIKE 'Forbidden%' OR error_code LIKE 'InvalidAccessKeyId%' OR error_code LIKE 'InvalidSecurityToken%'
      OR error_code IN ('Forbbiden', 'SignatureDoesNotMatch', 'InvalidAuthorization', 'AccessForbidden', 'NotAuthorized'))
),
counted AS (
    SELECT *, count(*) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '2 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM refused WHERE who IS NOT NULL
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '2 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ', CAST(most AS VARCHAR) || ' refused calls within 2 minutes', 'service ' || service_name, 'error ' || error_code) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 6
