-- A sign-in that succeeds within a quarter of an hour of three or more failures of the same user, in the console or in
-- CloudSSO.
WITH attempts AS (
    SELECT events.*, coalesce(principal_id, login_account, user_name) AS who
    FROM events
    WHERE (event_action LIKE 'consolesignin%' OR event_action = 'login' AND lower(service_name) = 'cloudsso')
      AND outcome IN ('success', 'failure') AND event_time IS NOT NULL
),
counted AS (
    SELECT *, sum(CASE WHEN outcome = 'failure' THEN 1 ELSE 0 END) OVER (
        PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '15 minutes' PRECEDING AND CURRENT ROW
    ) AS failures
    FROM attempts WHERE who IS NOT NULL
)
SELECT
    counted.*,
    concat_ws('; ',
        'User ' || coalesce(user_name, login_account, who) || ' signed in after ' || CAST(failures AS VARCHAR) || ' failures within 15 minutes',
        'The sign-in came from ' || source_ip_address,
        CASE WHEN mfa = 'yes' THEN 'A second factor was used' WHEN mfa = 'no' THEN 'No second factor was used' END) AS why,
    concat_ws('; ',
        CASE WHEN mfa = 'unknown' THEN 'Whether a second factor was used' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the sign-in came from (source address: ' || source_class || ')' END) AS unknowns
FROM counted
WHERE outcome = 'success' AND failures >= 3
