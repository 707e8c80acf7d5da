-- Ten or more different secrets read by one principal within any five minutes.
WITH read_out AS (
    SELECT events.*, principal_id AS who
    FROM events
    WHERE event_time IS NOT NULL AND event_action = 'getsecretvalue' AND lower(service_name) = 'kms' AND outcome = 'success'
),
counted AS (
    SELECT *, count(DISTINCT param(request_parameters, 'SecretName')) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '5 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM read_out WHERE who IS NOT NULL
),
marked AS (
    SELECT *, max(in_window) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '5 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    marked.*,
    concat_ws('; ', CAST(most AS VARCHAR) || ' secrets within 5 minutes', 'secret ' || param(request_parameters, 'SecretName')) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
WHERE most >= 10
