-- Five or more users whose sign-ins failed from one address within any half hour.
-- The windows run over few columns; the whole events are joined at the end.
WITH failed AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, client_ip AS who, coalesce(principal_id, login_account, user_name) AS thing
    FROM events
    WHERE event_time IS NOT NULL AND event_action LIKE 'consolesignin%' AND outcome = 'failure' AND source_class = 'ip'
),
counted AS (
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '30 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM failed WHERE who IS NOT NULL
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '30 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ', 'sign-ins of ' || CAST(most AS VARCHAR) || ' users failed within 30 minutes', 'error ' || error_code) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 5
