-- A sign-in that succeeds within a quarter of an hour of three or more failures of the same user.
WITH attempts AS (
    SELECT events.*, coalesce(principal_id, login_account, user_name) AS who
    FROM events
    WHERE event_action LIKE 'consolesignin%' AND outcome IN ('success', 'failure') AND event_time IS NOT NULL
),
counted AS (
    SELECT *, sum(CASE WHEN outcome = 'failure' THEN 1 ELSE 0 END) OVER (
        PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '15 minutes' PRECEDING AND CURRENT ROW
    ) AS failures
    FROM attempts WHERE who IS NOT NULL
)
SELECT
    counted.*,
    concat_ws('; ', 'after ' || CAST(failures AS VARCHAR) || ' failures within 15 minutes', 'from ' || source_ip_address, 'mfa = ' || mfa) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM counted
WHERE outcome = 'success' AND failures >= 3
