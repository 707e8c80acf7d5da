-- Five or more failed sign-ins of one user within any five minutes.
-- The windows run over few columns; the whole events are joined at the end.
WITH failed AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, coalesce(principal_id, login_account, user_name) AS who
    FROM events
    WHERE event_time IS NOT NULL AND event_action LIKE 'consolesignin%' AND outcome = 'failure'
),
counted AS (
    SELECT *, count(*) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '5 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM failed WHERE who IS NOT NULL
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '5 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ', CAST(most AS VARCHAR) || ' failed sign-ins within 5 minutes', 'error ' || error_code, 'from ' || source_ip_address) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 5
