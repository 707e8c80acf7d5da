--! question = { en = "Who stopped this instance?", zh = "谁停止了这台实例？" }
--! when = "An ECS instance is down, was rebooted or is gone, and nobody says why."
--! next = ["principal_timeline: what else the operator did", "resource_changes: what else was done to the instance", "`not visible`: does the trail cover that region, and had the events arrived? `trailhound coverage`", "`guest or host cause`: ask ECS for the instance's system events, and the guest for its own log"]
--! [parameters.instance]
--! meaning = "Instance id, `i-...`."
--! [parameters.since]
--! kind = "time"
--! default = "-7d"
--! meaning = "From when on."
--! [parameters.until]
--! kind = "time"
--! default = "now"
--! meaning = "Until when, this moment not included."
--! [parameters.region]
--! default = ""
--! meaning = "Its region; needed only where the trail has never named the instance."
--
-- Every call in the period that names the instance and affects whether it runs, in order of time; possible causes of a stop; how many
-- events the trail has for its regions at all; and the verdict of the latest successful stop, reboot or release.
--
-- Every event that names the instance. These are few, so they are searched for once and used for everything else.
WITH of_instance AS MATERIALIZED (
    SELECT event_time, event_name, event_action, event_type, event_id, service_name, outcome, error_code, user_name, principal_id, user_type,
           source_ip_address, credential_kind, access_key_id, user_agent, account_id, acs_region, request_parameters
    FROM events WHERE array_has(instance_ids, $instance)
),
named AS (
    SELECT
        *,
        coalesce(lower(event_type) = 'aliyunserviceevent' OR lower(trim(user_type)) = 'system', false) AS by_platform,
        CASE
            WHEN event_action IN ('stopinstance', 'stopinstances') THEN 'stop'
            WHEN event_action IN ('rebootinstance', 'rebootinstances') THEN 'reboot'
            WHEN event_action IN ('deleteinstance', 'deleteinstances', 'release') THEN 'release'
            WHEN event_action IN ('redeployinstance', 'replacesystemdisk', 'reinitdisk', 'modifyinstancespec', 'modifyprepayinstancespec') THEN 'change that stops'
            WHEN event_action = 'modifyinstanceautoreleasetime' THEN 'release scheduled'
            WHEN event_action IN ('startinstance', 'startinstances') THEN 'start'
            WHEN event_action IN ('runinstances', 'createinstance') THEN 'creation'
            ELSE 'possible cause'
        END AS family
    FROM of_instance
    WHERE event_action IN (
        'stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances', 'deleteinstance', 'deleteinstances', 'release',
        'redeployinstance', 'replacesystemdisk', 'reinitdisk', 'modifyinstancespec', 'modifyprepayinstancespec', 'modifyinstanceautoreleasetime',
        'startinstance', 'startinstances', 'runinstances', 'createinstance',
        'runcommand', 'invokecommand', 'executescalingrule', 'scalewithadjustment', 'removeinstances', 'startexecution')
      AND lower(service_name) IN ('ecs', 'ess', 'oos')
),
period AS (
    SELECT * FROM named WHERE event_time >= $since AND event_time < $until
),
-- A call without a time cancels the release.
schedules AS (
    SELECT event_time AS set_at, coalesce(user_name, principal_id, 'unknown') AS set_by,
           try_cast(param(request_parameters, 'AutoReleaseTime') AS TIMESTAMP WITH TIME ZONE) AS due
    FROM named
    WHERE family = 'release scheduled' AND outcome = 'success' AND coalesce(param(request_parameters, 'AutoReleaseTime'), '') <> ''
),
stops AS (
    SELECT period.*, schedules.set_at, schedules.set_by,
           row_number() OVER (ORDER BY period.event_time DESC, schedules.set_at DESC) AS back
    FROM period
    LEFT JOIN schedules
      ON period.by_platform AND period.family = 'release'
     AND period.event_time BETWEEN schedules.due - INTERVAL '5 minutes' AND schedules.due + INTERVAL '1 hour'
    WHERE period.outcome = 'success' AND period.family IN ('stop', 'reboot', 'release', 'change that stops')
),
latest AS (
    SELECT
        CASE WHEN set_at IS NOT NULL THEN 'scheduled release' WHEN by_platform THEN 'platform event' ELSE 'operator found' END AS verdict,
        concat_ws(', ',
            event_name || ' at ' || to_char(event_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
            CASE WHEN NOT by_platform THEN 'by ' || coalesce(user_name, principal_id, 'a principal the event does not name') END,
            CASE WHEN NOT by_platform THEN 'from ' || coalesce(source_ip_address, 'an address the event does not name') END,
            CASE WHEN NOT by_platform THEN 'by ' || credential_kind END,
            CASE WHEN set_at IS NOT NULL THEN 'as ' || set_by || ' had set it at ' || to_char(set_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') END) AS evidence
    FROM stops WHERE back = 1
),
home AS (
    SELECT DISTINCT acs_region FROM named WHERE acs_region IS NOT NULL
    UNION
    SELECT $region WHERE $region <> ''
),
-- All events of the regions of the instance in the period: without any, the absence of a stop proves nothing.
seen AS (
    SELECT coalesce(sum(events), 0) AS events, count(DISTINCT hour) AS hours, max(newest) AS newest
    FROM (
        -- Hours by integer division of microseconds: a tenth faster over years than `date_bin`.
        SELECT acs_region, arrow_cast(event_time, 'Int64') / 3600000000 AS hour, count(*) AS events, max(event_time) AS newest
        FROM events WHERE event_time >= $since AND event_time < $until
        GROUP BY acs_region, arrow_cast(event_time, 'Int64') / 3600000000
    ) AS by_hour
    WHERE acs_region IN (SELECT acs_region FROM home)
),
judged AS (
    SELECT
        CASE
            WHEN latest.verdict IS NOT NULL THEN latest.verdict
            WHEN seen.events = 0 THEN 'not visible'
            ELSE 'guest or host cause'
        END AS verdict,
        concat_ws('; ',
            latest.evidence,
            CASE WHEN latest.verdict IS NULL AND seen.events > 0 THEN 'no call that stops it went through' END,
            CASE WHEN latest.verdict IS NULL AND causes.latest IS NOT NULL THEN 'possible cause: ' || causes.latest END,
            CASE WHEN regions.names IS NULL THEN 'no event has ever named the instance, so its region is unknown: give `region`'
                 ELSE 'from ' || regions.names || ' the trail has ' || CAST(seen.events AS VARCHAR) || ' event(s) in ' || CAST(seen.hours AS VARCHAR)
                      || ' hour(s) of the period' || coalesce(', the newest of ' || to_char(seen.newest AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), '') END) AS evidence
    FROM seen
    CROSS JOIN (SELECT string_agg(acs_region, ', ' ORDER BY acs_region) AS names FROM home) AS regions
    CROSS JOIN (
        SELECT max(to_char(event_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') || ' ' || event_name || ' by ' || coalesce(user_name, principal_id, 'unknown')) AS latest
        FROM period WHERE family = 'possible cause' AND outcome = 'success'
    ) AS causes
    LEFT JOIN latest ON true
)
SELECT part, event_time, what, outcome, operator, user_type, source_ip_address, credential_kind, access_key_id, user_agent, account_id, acs_region, event_id, evidence
FROM (
    SELECT 1 AS place, 'event' AS part, event_time, event_name AS what, outcome, coalesce(user_name, principal_id) AS operator, user_type,
           source_ip_address, credential_kind, mask_key(access_key_id) AS access_key_id, user_agent, account_id, acs_region, event_id,
           concat_ws('; ', family, error_code) AS evidence
    FROM period
    UNION ALL
    SELECT 2, 'verdict', NULL, verdict, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, evidence FROM judged
)
ORDER BY place, event_time, event_id
