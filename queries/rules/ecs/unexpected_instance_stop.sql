-- Instances stopped, rebooted or released without a reason the company has given.
-- Answers who, when, from where, how and which; the platform and a schedule are possible answers, and said so.
WITH changes AS (
    SELECT
        events.*,
        lower(trim(user_type)) AS kind,
        coalesce(principal_id, user_name, '') AS who,
        coalesce(account_id, '') AS account,
        CASE
            WHEN event_action IN ('stopinstance', 'stopinstances') THEN 'stop'
            WHEN event_action IN ('rebootinstance', 'rebootinstances') THEN 'reboot'
            WHEN event_action = 'modifyinstanceautoreleasetime' THEN 'scheduled release'
            ELSE 'release'
        END AS family,
        coalesce(lower(coalesce(param(request_parameters, 'ForceStop'), param(request_parameters, 'ForceReboot'))) = 'true', false) AS forced,
        coalesce(lower(event_type) = 'aliyunserviceevent' OR lower(trim(user_type)) = 'system', false) AS by_platform
    FROM events
    WHERE event_action IN ('stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances',
                           'deleteinstance', 'deleteinstances', 'release', 'modifyinstanceautoreleasetime')
      AND lower(service_name) = 'ecs'
      AND outcome = 'success'
      -- Without a time the call cancels a scheduled release.
      AND (event_action <> 'modifyinstanceautoreleasetime' OR coalesce(param(request_parameters, 'AutoReleaseTime'), '') <> '')
),
touched AS (
    SELECT event_key, account, who, family, event_time, unnest(instance_ids) AS instance_id FROM changes
),
-- Auto Scaling stops instances through its service role; its own event names the instance too.
scaling AS (
    SELECT coalesce(account_id, '') AS account, event_time, unnest(instance_ids) AS instance_id
    FROM events
    WHERE lower(service_name) = 'ess' AND outcome = 'success'
),
by_scaling AS (
    SELECT DISTINCT touched.event_key
    FROM touched
    JOIN scaling ON scaling.instance_id = touched.instance_id AND scaling.account = touched.account
    WHERE scaling.event_time BETWEEN touched.event_time - INTERVAL '15 minutes' AND touched.event_time + INTERVAL '15 minutes'
),
schedules AS (
    SELECT account, unnest(instance_ids) AS instance_id, try_cast(param(request_parameters, 'AutoReleaseTime') AS TIMESTAMP WITH TIME ZONE) AS due
    FROM changes
    WHERE family = 'scheduled release'
),
by_schedule AS (
    SELECT DISTINCT touched.event_key
    FROM touched
    JOIN schedules ON schedules.instance_id = touched.instance_id AND schedules.account = touched.account
    WHERE touched.family = 'release' AND touched.event_time BETWEEN schedules.due - INTERVAL '5 minutes' AND schedules.due + INTERVAL '1 hour'
),
judged AS (
    SELECT
        changes.*,
        by_schedule.event_key IS NOT NULL AND by_platform AS on_schedule,
        CASE
            WHEN matches(role_name, 'automation_roles') THEN 'automation_roles: ' || role_name
            WHEN by_scaling.event_key IS NOT NULL AND lower(role_name) IN ('aliyunserviceroleforautoscaling', 'aliyunessdefaultrole')
                THEN 'auto scaling: a scaling event names the same instance'
            WHEN by_schedule.event_key IS NOT NULL AND by_platform THEN 'scheduled release: it was set before'
            ELSE 'change_windows: ' || change_window(event_time, account_id, acs_region, coalesce(role_name, user_name), instance_ids)
        END AS expected_because
    FROM changes
    LEFT JOIN by_scaling ON by_scaling.event_key = changes.event_key
    LEFT JOIN by_schedule ON by_schedule.event_key = changes.event_key
),
unexpected AS (
    SELECT touched.* FROM touched JOIN judged ON judged.event_key = touched.event_key
    WHERE judged.expected_because IS NULL AND touched.event_time IS NOT NULL
),
-- Any ten minutes that hold enough instances make a burst of all events in them.
ten_minutes AS (
    SELECT *, count(DISTINCT instance_id) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS instances
    FROM unexpected
),
bursts AS (
    SELECT event_key, max(most) AS instances
    FROM (
        SELECT event_key, max(instances) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
        FROM ten_minutes
    ) AS around
    WHERE most >= CAST(setting('burst_instances') AS BIGINT)
    GROUP BY event_key
),
half_hours AS (
    SELECT *, count(DISTINCT event_key) OVER (PARTITION BY account, instance_id ORDER BY event_time RANGE BETWEEN INTERVAL '30 minutes' PRECEDING AND CURRENT ROW) AS reboots
    FROM unexpected WHERE family = 'reboot'
),
reboot_loops AS (
    SELECT DISTINCT event_key
    FROM (
        SELECT event_key, max(reboots) OVER (PARTITION BY account, instance_id ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '30 minutes' FOLLOWING) AS most
        FROM half_hours
    ) AS around
    WHERE most >= 3
),
weighed AS (
    SELECT
        judged.*,
        coalesce(bursts.instances, 0) AS burst,
        reboot_loops.event_key IS NOT NULL AS rebooted_again,
        kind = 'root-account' AS by_root,
        -- `false` is the normal value of role sessions, so only people's own console sessions count.
        credential_kind = 'console_session' AND session_mfa = 'no' AND kind IN ('root-account', 'ram-user') AS without_mfa,
        coalesce(source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time), false) AS from_outside,
        coalesce(off_hours(event_time), false) AND NOT by_platform AS at_odd_hours,
        coalesce(any_matches(instance_ids, 'critical_instances'), false) AS on_critical
    FROM judged
    LEFT JOIN bursts ON bursts.event_key = judged.event_key
    LEFT JOIN reboot_loops ON reboot_loops.event_key = judged.event_key
)
SELECT
    weighed.*,
    CASE
        WHEN family = 'release' OR burst > 0 OR (family = 'scheduled release' AND on_critical) THEN 'critical'
        WHEN family = 'scheduled release' OR forced OR by_root OR without_mfa OR from_outside OR at_odd_hours OR on_critical OR rebooted_again
            THEN 'high'
        ELSE 'medium'
    END AS severity,
    CASE
        WHEN on_schedule THEN 'scheduled release'
        WHEN by_platform THEN 'platform event'
        ELSE 'operator found'
    END AS verdict,
    concat_ws('; ',
        family || ' of ' || CAST(cardinality(instance_ids) AS VARCHAR) || ' instance(s)',
        CASE WHEN forced THEN 'forced: power off, unsaved data is lost' END,
        CASE WHEN lower(param(request_parameters, 'StoppedMode')) = 'stopcharging' THEN 'StopCharging: may not start again, public address may change' END,
        CASE WHEN lower(param(request_parameters, 'BatchOptimization')) = 'successfirst' THEN 'SuccessFirst: some instances may still run' END,
        CASE WHEN by_root THEN 'identity = root-account' END,
        CASE WHEN without_mfa THEN 'console session without MFA' END,
        CASE WHEN from_outside THEN 'source address ' || client_ip || ' is in no corporate range' END,
        CASE WHEN at_odd_hours THEN 'outside business hours' END,
        CASE WHEN on_critical THEN 'critical instance' END,
        CASE WHEN rebooted_again THEN 'rebooted at least three times within 30 minutes' END,
        CASE WHEN burst > 0 THEN 'burst: ' || CAST(burst AS VARCHAR) || ' instances within 10 minutes' END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' AND NOT by_platform THEN 'source address (' || source_class || ')' END,
        CASE WHEN source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL THEN 'corporate ranges' END,
        CASE WHEN cardinality(instance_ids) = 0 THEN 'instance' END,
        CASE WHEN event_time IS NULL THEN 'time' END) AS unknowns
FROM weighed
