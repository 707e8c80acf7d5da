-- Instances stopped, rebooted or released without an exception or change window.
-- Says who, when, from where, how and which instances. The operator can be the platform or a schedule, and the verdict says so.
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
      -- A call without a time cancels a scheduled release.
      AND (event_action <> 'modifyinstanceautoreleasetime' OR coalesce(param(request_parameters, 'AutoReleaseTime'), '') <> '')
),
touched AS (
    SELECT event_key, account, who, family, event_time, unnest(instance_ids) AS instance_id FROM changes
),
-- Auto Scaling stops instances through its service role, and its own event names the instance too. For scaling, orchestration and commands in
-- the guest that caused a stop, the principal who ordered them is the one to ask.
others AS (
    SELECT coalesce(account_id, '') AS account, event_time, unnest(instance_ids) AS instance_id,
           lower(service_name) = 'ess' AS scales,
           CASE WHEN event_action IN ('executescalingrule', 'scalewithadjustment', 'removeinstances', 'startexecution', 'runcommand', 'invokecommand')
                THEN event_name || ' by ' || coalesce(user_name, principal_id, 'a principal the event does not name') END AS sets_off
    FROM events
    WHERE outcome = 'success'
      AND (lower(service_name) = 'ess' OR event_action IN ('startexecution', 'runcommand', 'invokecommand') AND lower(service_name) IN ('oos', 'ecs'))
),
around AS (
    SELECT touched.event_key,
           bool_or(others.scales) AS by_scaling,
           max(CASE WHEN others.event_time <= touched.event_time THEN CAST(others.event_time AS VARCHAR) || ' ' || others.sets_off END) AS set_off
    FROM touched
    JOIN others ON others.instance_id = touched.instance_id AND others.account = touched.account
    WHERE others.event_time BETWEEN touched.event_time - INTERVAL '15 minutes' AND touched.event_time + INTERVAL '15 minutes'
    GROUP BY touched.event_key
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
        around.set_off,
        CASE
            WHEN matches(role_name, 'automation_roles') THEN 'automation_roles: ' || role_name
            WHEN around.by_scaling AND lower(role_name) IN ('aliyunserviceroleforautoscaling', 'aliyunessdefaultrole')
                THEN 'auto scaling: a scaling event names the same instance'
            WHEN by_schedule.event_key IS NOT NULL AND by_platform THEN 'scheduled release: it was set before'
            ELSE 'change_windows: ' || change_window(event_time, account_id, acs_region, coalesce(role_name, user_name), instance_ids)
        END AS expected_because
    FROM changes
    LEFT JOIN around ON around.event_key = changes.event_key
    LEFT JOIN by_schedule ON by_schedule.event_key = changes.event_key
),
unexpected AS (
    SELECT event_key, account, who, family, event_time, unnest(instance_ids) AS instance_id
    FROM judged WHERE expected_because IS NULL AND event_time IS NOT NULL
),
-- All events of any ten minutes with enough instances are a burst; three reboots of an instance within any half hour are a loop.
until_then AS (
    SELECT
        *,
        count(DISTINCT instance_id) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS instances,
        CASE WHEN family = 'reboot' THEN count(DISTINCT CASE WHEN family = 'reboot' THEN event_key END) OVER (PARTITION BY account, instance_id
            ORDER BY event_time RANGE BETWEEN INTERVAL '30 minutes' PRECEDING AND CURRENT ROW) END AS reboots
    FROM unexpected
),
from_then AS (
    SELECT
        event_key, family,
        max(instances) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS instances,
        max(reboots) OVER (PARTITION BY account, instance_id ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '30 minutes' FOLLOWING) AS reboots
    FROM until_then
),
together AS (
    SELECT event_key, max(instances) AS instances, max(CASE WHEN family = 'reboot' THEN reboots END) AS reboots FROM from_then GROUP BY event_key
),
weighed AS (
    SELECT
        judged.*,
        CASE WHEN together.instances >= CAST(setting('burst_instances') AS BIGINT) THEN together.instances ELSE 0 END AS burst,
        coalesce(together.reboots >= 3, false) AS rebooted_again,
        kind = 'root-account' AS by_root,
        -- `false` is the normal value of role sessions, so only people's own console sessions count.
        credential_kind = 'console_session' AND session_mfa = 'no' AND kind IN ('root-account', 'ram-user') AS without_mfa,
        coalesce(source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time), false) AS from_outside,
        coalesce(off_hours(event_time), false) AND NOT by_platform AS at_odd_hours,
        coalesce(any_matches(instance_ids, 'critical_instances'), false) AS on_critical
    FROM judged
    LEFT JOIN together ON together.event_key = judged.event_key
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
        CASE WHEN burst > 0 THEN 'burst: ' || CAST(burst AS VARCHAR) || ' instances within 10 minutes' END,
        CASE WHEN set_off IS NOT NULL THEN 'within 15 minutes after ' || set_off END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' AND NOT by_platform THEN 'source address (' || source_class || ')' END,
        CASE WHEN source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL THEN 'corporate ranges' END,
        CASE WHEN cardinality(instance_ids) = 0 THEN 'instance' END,
        CASE WHEN event_time IS NULL THEN 'time' END) AS unknowns
FROM weighed
