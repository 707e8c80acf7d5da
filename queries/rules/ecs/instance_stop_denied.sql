-- Three or more refused or failed stops, reboots or releases by one principal within any ten minutes.
WITH denied AS (
    SELECT events.*, coalesce(principal_id, user_name, '') AS who, coalesce(account_id, '') AS account
    FROM events
    WHERE event_action IN ('stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances', 'deleteinstance', 'deleteinstances')
      AND lower(service_name) = 'ecs'
      AND outcome = 'failure'
),
full_windows AS (
    SELECT a.account, a.who, a.event_time, count(*) AS failures
    FROM (SELECT DISTINCT account, who, event_time FROM denied) AS a
    JOIN denied AS b ON b.account = a.account AND b.who = a.who
    WHERE b.event_time BETWEEN a.event_time - INTERVAL '10 minutes' AND a.event_time
    GROUP BY a.account, a.who, a.event_time
    HAVING count(*) >= 3
)
SELECT
    denied.*,
    concat_ws('; ', 'at least three failed stops within 10 minutes', 'error ' || error_code) AS why
FROM denied
WHERE EXISTS (
    SELECT 1 FROM full_windows
    WHERE full_windows.account = denied.account AND full_windows.who = denied.who
      AND full_windows.event_time >= denied.event_time
      AND full_windows.event_time <= denied.event_time + INTERVAL '10 minutes'
)
