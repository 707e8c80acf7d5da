-- A change in a region in which the account changed nothing during the ninety days before.
-- Only the first change of a day can be new, so the windows run over days.
WITH days AS (
    SELECT coalesce(account_id, '') AS account, acs_region AS region, date_bin(INTERVAL '1 day', event_time) AS day, min(event_time) AS first_time,
           max(event_time) AS last_time, first_value(event_key ORDER BY event_time, event_key) AS event_key
    FROM events
    WHERE event_time IS NOT NULL AND acs_region IS NOT NULL AND outcome = 'success' AND lower(event_rw) <> 'read' AND NOT coalesce(is_global, false)
      -- Global services log once, in their home region.
      AND lower(service_name) NOT IN ('ram', 'ims', 'sts', 'aassub', 'aascustomer', 'cloudsso', 'resourcemanager', 'actiontrail')
      AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
    GROUP BY coalesce(account_id, ''), acs_region, date_bin(INTERVAL '1 day', event_time)
),
followed AS (
    SELECT *, lag(last_time) OVER (PARTITION BY account, region ORDER BY day) AS changed_before
    FROM days
),
fresh AS (
    SELECT account, region, first_time, event_key
    FROM followed
    WHERE changed_before IS NULL OR changed_before < first_time - INTERVAL '90 days'
),
-- Only accounts that were active for at least two weeks: every region of a newer account is new.
known AS (
    SELECT DISTINCT fresh.event_key
    FROM fresh
    JOIN days ON days.account = fresh.account
    WHERE (days.first_time >= fresh.first_time - INTERVAL '90 days' AND days.first_time < fresh.first_time - INTERVAL '14 days')
       OR (days.last_time >= fresh.first_time - INTERVAL '90 days' AND days.last_time < fresh.first_time - INTERVAL '14 days')
)
SELECT
    events.*,
    concat_ws('; ', 'region ' || acs_region, 'where nothing was changed for 90 days', 'event = ' || event_name, 'service ' || service_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM known
JOIN events ON events.event_key = known.event_key
