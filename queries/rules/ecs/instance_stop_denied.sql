-- Three or more refused or failed stops, reboots or releases by one principal within any ten minutes.
WITH denied AS (
    SELECT events.*, coalesce(principal_id, user_name, '') AS who, coalesce(account_id, '') AS account
    FROM events
    WHERE event_action IN ('stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances', 'deleteinstance', 'deleteinstances')
      AND lower(service_name) = 'ecs'
      AND outcome = 'failure'
      AND event_time IS NOT NULL
),
counted AS (
    SELECT *, count(*) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM denied
),
marked AS (
    SELECT *, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    marked.*,
    concat_ws('; ', 'at least three failed stops within 10 minutes', 'error ' || error_code) AS why
FROM marked
WHERE most >= 3
