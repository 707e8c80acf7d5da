-- Five or more users whose sign-ins failed from one address within any half hour.
WITH failed AS (
    SELECT events.*, client_ip AS who
    FROM events
    WHERE event_time IS NOT NULL AND event_action LIKE 'consolesignin%' AND outcome = 'failure' AND source_class = 'ip'
),
counted AS (
    SELECT *, count(DISTINCT coalesce(principal_id, login_account, user_name)) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '30 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM failed WHERE who IS NOT NULL
),
marked AS (
    SELECT *, max(in_window) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '30 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    marked.*,
    concat_ws('; ', 'sign-ins of ' || CAST(most AS VARCHAR) || ' users failed within 30 minutes', 'error ' || error_code) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
WHERE most >= 5
