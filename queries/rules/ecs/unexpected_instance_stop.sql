-- Instances stopped, rebooted or released without an exception or change window.
-- Says who, when, from where, how and which instances. The operator can be the platform, a schedule or a service, and the verdict says so.
-- Where a person made a service stop instances, the finding names the person.
WITH calls AS (
    SELECT
        events.*,
        lower(trim(user_type)) AS kind,
        lower(service_name) AS service,
        coalesce(principal_id, user_name, '') AS own_id,
        coalesce(user_name, principal_id, 'a principal that the event does not name') AS own_name,
        coalesce(account_id, '') AS account,
        coalesce(lower(event_type) = 'aliyunserviceevent' OR lower(trim(user_type)) = 'system', false) AS by_platform,
        -- A role that only a service can take, at the address of that service.
        coalesce(matches(role_name, 'service_roles') AND (
            -- Whoever may change the trust policy of a role that is linked to no service can take it from the vendor's network.
            source_class IN ('internal', 'missing') AND lower(role_name) LIKE 'aliyunservicerolefor%'
            OR source_class = 'service' AND (lower(role_name) LIKE 'aliyunservicerolefor%'
                OR lower(role_name) = 'aliyunessdefaultrole' AND lower(source_ip_address) = 'ess.aliyuncs.com'
                OR lower(role_name) IN ('oosservicerole', 'aliyunooslifecyclehook4csrole') AND lower(source_ip_address) = 'oos.aliyuncs.com'
                OR lower(role_name) LIKE 'aliyuncs%role' AND lower(source_ip_address) = 'cs.aliyuncs.com')), false) AS by_service,
        coalesce(source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time), false) AS outside,
        coalesce(ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10'), false) AS private,
        lower(trim(user_type)) = 'root-account' AS as_root,
        -- `false` is the normal value of role sessions, so only people's own console sessions count.
        credential_kind = 'console_session' AND session_mfa = 'no' AND lower(trim(user_type)) IN ('root-account', 'ram-user') AS no_mfa,
        -- Where the company and its programs are. Elsewhere the credentials of a program may be stolen.
        coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false) OR source_class = 'service' OR ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NULL AS at_home,
        -- Calls of other services name instances in their parameters too.
        CASE WHEN lower(service_name) = 'ecs' THEN instance_ids
             ELSE array_remove_all(array_distinct(array_concat(instance_ids,
                coalesce(values_at(request_parameters, request_parameter_json, 'InstanceId'), make_array()),
                coalesce(values_at(request_parameters, request_parameter_json, 'instance_ids'), make_array()),
                coalesce(values_at(request_parameters, request_parameter_json, 'Parameters.InstanceId'), make_array()),
                coalesce(values_at(request_parameters, request_parameter_json, 'Parameters.InstanceIds'), make_array()))),
                -- A list that is sent as text is itself a value.
                CASE WHEN param(request_parameters, request_parameter_json, 'InstanceId') LIKE '[%' THEN param(request_parameters, request_parameter_json, 'InstanceId') ELSE '' END)
        END AS touches
    FROM events
    WHERE outcome = 'success'
      AND (lower(service_name) = 'ecs' AND event_action IN ('stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances', 'deleteinstance',
              'deleteinstances', 'release', 'modifyinstanceautoreleasetime', 'runcommand', 'invokecommand')
        OR lower(service_name) = 'ess' AND (cardinality(instance_ids) > 0 OR event_action IN ('removeinstances', 'setinstancehealth', 'executescalingrule',
              'scalewithadjustment', 'modifyscalinggroup', 'deletescalinggroup'))
        OR lower(service_name) = 'oos' AND event_action IN ('startexecution', 'createstateconfiguration')
        OR lower(service_name) = 'config' AND event_action IN ('createremediation', 'updateremediation', 'startremediation')
        OR lower(service_name) = 'ros' AND event_action IN ('deletestack', 'updatestack', 'deletestackinstances')
        OR lower(service_name) = 'cs' AND event_action IN ('deleteclusternodes', 'removenodepoolnodes', 'deleteclusternodepool'))
),
changes AS (
    SELECT
        calls.*,
        CASE
            WHEN event_action IN ('stopinstance', 'stopinstances') THEN 'stop'
            WHEN event_action IN ('rebootinstance', 'rebootinstances') THEN 'reboot'
            WHEN event_action = 'modifyinstanceautoreleasetime' THEN 'scheduled release'
            WHEN service = 'ess' AND lower(param(request_parameters, request_parameter_json, 'RemovePolicy')) IN ('recycle', 'forcerecycle') THEN 'stop'
            ELSE 'release'
        END AS family,
        event_action IN ('stopinstance', 'stopinstances', 'rebootinstance', 'deleteinstance', 'deleteinstances') AND coalesce(lower(param(request_parameters, request_parameter_json, 'ForceStop')) = 'true', false)
            OR event_action = 'rebootinstances' AND coalesce(lower(param(request_parameters, request_parameter_json, 'ForceReboot')) = 'true', false) AS forced,
        -- The service whose role acts: by its address, or by the role where the event has none.
        CASE
            -- It acts through orchestration.
            WHEN lower(role_name) = 'aliyunserviceroleforconfigremediation' THEN 'config'
            WHEN source_class = 'service' THEN split_part(lower(source_ip_address), '.', 1)
            WHEN lower(role_name) IN ('aliyunserviceroleforautoscaling', 'aliyunessdefaultrole') THEN 'ess'
            WHEN lower(role_name) LIKE 'aliyunserviceroleforoos%' OR lower(role_name) = 'oosservicerole' THEN 'oos'
            WHEN lower(role_name) LIKE 'aliyunserviceroleforros%' THEN 'ros'
            WHEN lower(role_name) LIKE 'aliyunserviceroleforcs%' OR lower(role_name) LIKE 'aliyuncs%' THEN 'cs'
        END AS acting_service
    FROM calls
    WHERE service = 'ecs' AND event_action IN ('stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances',
                           'deleteinstance', 'deleteinstances', 'release', 'modifyinstanceautoreleasetime')
            -- A call without a time cancels a scheduled release.
            AND (event_action <> 'modifyinstanceautoreleasetime' OR coalesce(param(request_parameters, request_parameter_json, 'AutoReleaseTime'), '') <> '')
       -- A scale-in by hand ends the instances that the call names.
       OR service = 'ess' AND event_action = 'removeinstances' AND NOT by_service AND NOT by_platform
),
touched AS (
    SELECT event_key, account, family, event_time, unnest(touches) AS instance_id FROM changes
),
-- Auto Scaling stops instances through its service role, and its own event names the instance too. For scaling, orchestration and commands in
-- the guest that caused a stop, the principal who ordered them is the one to ask.
others AS (
    SELECT event_key, account, acs_region, service, event_time, own_id, own_name, role_name, outside, private, as_root, no_mfa, at_home, client_ip, touches,
           service = 'ess' AS scales,
           event_name AS called,
           event_action IN ('runcommand', 'invokecommand') AS in_guest,
           -- Superfluous parameters of other calls prove nothing.
           service = 'ess' AND event_action IN ('removeinstances', 'setinstancehealth') AND cardinality(touches) > 0 AS names_all,
           NOT by_service AND NOT by_platform AND (
               event_action IN ('executescalingrule', 'removeinstances', 'setinstancehealth', 'deletescalinggroup', 'startexecution', 'createstateconfiguration', 'createremediation',
                   'updateremediation', 'startremediation', 'runcommand',
                   'invokecommand', 'deletestack', 'updatestack', 'deletestackinstances', 'deleteclusternodes', 'removenodepoolnodes', 'deleteclusternodepool')
               OR event_action = 'scalewithadjustment' AND NOT coalesce(lower(param(request_parameters, request_parameter_json, 'AdjustmentType')) = 'quantitychangeincapacity'
                   AND param(request_parameters, request_parameter_json, 'AdjustmentValue') NOT LIKE '-%', false)
               OR event_action = 'modifyscalinggroup' AND coalesce(param(request_parameters, request_parameter_json, 'MaxSize'), param(request_parameters, request_parameter_json, 'DesiredCapacity')) IS NOT NULL) AS sets_off,
           -- Capacities are changed every day; to none or one instance they empty the group. To more they count where many instances end.
           event_action = 'modifyscalinggroup' AND NOT coalesce(try_cast(param(request_parameters, request_parameter_json, 'MaxSize') AS BIGINT) <= 1, false)
               AND NOT coalesce(try_cast(param(request_parameters, request_parameter_json, 'DesiredCapacity') AS BIGINT) <= 1, false) AS is_usual
    FROM calls
    WHERE service <> 'ecs' OR event_action IN ('runcommand', 'invokecommand')
),
scaled AS (
    SELECT DISTINCT touched.event_key
    FROM touched
    JOIN (SELECT account, event_time, unnest(touches) AS instance_id FROM others WHERE scales) AS own
        ON own.instance_id = touched.instance_id AND own.account = touched.account
    WHERE own.event_time BETWEEN touched.event_time - INTERVAL '15 minutes' AND touched.event_time + INTERVAL '15 minutes'
),
many AS (
    SELECT usual.event_key AS cause_key
    FROM (SELECT event_key, account, acs_region, event_time, unnest(make_array(date_bin(INTERVAL '15 minutes', event_time), date_bin(INTERVAL '15 minutes', event_time + INTERVAL '15 minutes'))) AS span
          FROM others WHERE sets_off AND is_usual) AS usual
    JOIN (SELECT account, acs_region, event_time, date_bin(INTERVAL '15 minutes', event_time) AS span, unnest(touches) AS instance_id
          FROM changes WHERE by_service AND acting_service = 'ess' AND family = 'release') AS ended
        ON ended.account = usual.account AND ended.span = usual.span AND coalesce(ended.acs_region, '') = coalesce(usual.acs_region, '')
    WHERE usual.event_time BETWEEN ended.event_time - INTERVAL '15 minutes' AND ended.event_time
    GROUP BY usual.event_key
    HAVING count(DISTINCT ended.instance_id) >= CAST(setting('burst_instances') AS BIGINT)
),
whole AS (
    SELECT others.*, unnest(make_array(date_bin(INTERVAL '15 minutes', others.event_time), date_bin(INTERVAL '15 minutes', others.event_time + INTERVAL '15 minutes'))) AS span
    FROM others
    LEFT JOIN many ON many.cause_key = others.event_key
    WHERE others.sets_off AND NOT others.in_guest AND NOT others.names_all AND (NOT others.is_usual OR many.cause_key IS NOT NULL)
),
-- A lifecycle hook can hold a scale-in for six hours. What does not name the instance is taken for the cause for 15 minutes only, and only of what
-- the service does that was asked.
causes AS (
    SELECT touched.event_key, own.event_key AS cause_key, own.event_time AS cause_time, own.own_id, own.own_name, own.role_name, own.outside, own.private, own.as_root, own.no_mfa, own.at_home, own.client_ip, own.called, true AS named
    FROM touched
    JOIN (SELECT event_key, account, event_time, own_id, own_name, role_name, outside, private, as_root, no_mfa, at_home, client_ip, called, in_guest, unnest(touches) AS instance_id FROM others WHERE sets_off) AS own
        ON own.instance_id = touched.instance_id AND own.account = touched.account
    WHERE own.event_time BETWEEN touched.event_time - INTERVAL '6 hours' AND touched.event_time
      AND (NOT own.in_guest OR own.event_time >= touched.event_time - INTERVAL '15 minutes')
      AND own.event_key <> touched.event_key
    UNION ALL
    SELECT changes.event_key, others.event_key, others.event_time, others.own_id, others.own_name, others.role_name, others.outside, others.private, others.as_root, others.no_mfa, others.at_home, others.client_ip, others.called, false
    FROM changes
    JOIN whole AS others ON others.account = changes.account AND others.service = changes.acting_service AND others.span = date_bin(INTERVAL '15 minutes', changes.event_time)
        -- Orchestration acts in other regions too.
        AND (others.service IN ('oos', 'ros', 'config') OR coalesce(others.acs_region, '') = coalesce(changes.acs_region, ''))
    WHERE changes.by_service
      AND others.event_time BETWEEN changes.event_time - INTERVAL '15 minutes' AND changes.event_time
),
ranked AS (
    SELECT *, row_number() OVER (PARTITION BY event_key ORDER BY named DESC, cause_time DESC, cause_key) AS place FROM causes
),
schedules AS (
    SELECT account, unnest(touches) AS instance_id, try_cast(param(request_parameters, request_parameter_json, 'AutoReleaseTime') AS TIMESTAMP WITH TIME ZONE) AS due
    FROM changes
    WHERE family = 'scheduled release'
),
by_schedule AS (
    SELECT DISTINCT touched.event_key
    FROM touched
    JOIN schedules ON schedules.instance_id = touched.instance_id AND schedules.account = touched.account
    WHERE touched.family = 'release' AND touched.event_time BETWEEN schedules.due - INTERVAL '5 minutes' AND schedules.due + INTERVAL '1 hour'
),
caused AS (
    SELECT
        changes.*,
        by_schedule.event_key IS NOT NULL AND by_platform AS on_schedule,
        scaled.event_key IS NOT NULL AS by_scaling,
        cause.cause_time, cause.called, cause.own_name AS cause_name, cause.own_id AS cause_id, cause.role_name AS cause_role, cause.client_ip AS cause_address,
        coalesce(cause.outside, false) AS cause_outside,
        CASE WHEN cause.event_key IS NOT NULL AND by_service THEN cause.as_root ELSE changes.as_root END AS by_root,
        CASE WHEN cause.event_key IS NOT NULL AND by_service THEN cause.no_mfa ELSE changes.no_mfa END AS without_mfa,
        CASE WHEN cause.event_key IS NOT NULL AND by_service THEN cause.at_home OR cause.private ELSE changes.at_home OR changes.private END AS in_place,
        -- No change is planned so: it needs somebody to look even in a change window.
        CASE WHEN cause.event_key IS NOT NULL AND by_service
             THEN coalesce(cause.as_root, false) OR coalesce(cause.no_mfa, false) OR coalesce(cause.outside AND NOT cause.private, false)
             ELSE coalesce(changes.as_root, false) OR coalesce(changes.no_mfa, false) OR coalesce(changes.outside AND NOT changes.private, false) END AS never_planned,
        coalesce(cause.named, false) AS cause_named,
        -- Of a person's own call it is only said what came before.
        cause.event_key IS NOT NULL AND by_service AS through_service
    FROM changes
    LEFT JOIN ranked AS cause ON cause.event_key = changes.event_key AND cause.place = 1
    LEFT JOIN scaled ON scaled.event_key = changes.event_key
    LEFT JOIN by_schedule ON by_schedule.event_key = changes.event_key
),
-- Programs at addresses that the company did not list stop single machines every day. Their credentials may be stolen, so it is no excuse for more.
placed AS (
    SELECT *, NOT coalesce(in_place, false) AND family IN ('stop', 'reboot') AND cardinality(touches) > 0 AND NOT coalesce(any_matches(touches, 'critical_instances'), false) AS doubtful FROM caused
),
judged AS (
    SELECT
        *,
        CASE WHEN through_service THEN cause_id ELSE own_id END AS who,
        -- A burst is counted over all sessions of a role.
        CASE WHEN through_service THEN coalesce(cause_role, cause_id) ELSE coalesce(role_name, own_id) END AS crew,
        CASE
            WHEN through_service AND (in_place OR doubtful) AND matches(cause_role, 'automation_roles') THEN 'automation_roles: ' || cause_role
            WHEN through_service AND never_planned THEN NULL
            WHEN through_service THEN 'change_windows: ' || change_window(event_time, account_id, acs_region, coalesce(cause_role, cause_name), touches)
            WHEN (in_place OR doubtful) AND matches(role_name, 'automation_roles') THEN 'automation_roles: ' || role_name
            WHEN by_scaling AND by_service AND lower(role_name) IN ('aliyunserviceroleforautoscaling', 'aliyunessdefaultrole')
                THEN 'auto scaling: a scaling event names the same instance'
            WHEN on_schedule THEN 'scheduled release: it was set before'
            WHEN never_planned THEN NULL
            ELSE 'change_windows: ' || change_window(event_time, account_id, acs_region, coalesce(role_name, user_name), touches)
        END AS reason
    FROM placed
),
unexpected AS (
    SELECT event_key, account, crew AS who, family, event_time, unnest(touches) AS instance_id
    FROM judged
    WHERE (reason IS NULL OR doubtful) AND event_time IS NOT NULL AND NOT by_platform AND (through_service OR NOT by_service)
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
        CASE WHEN through_service THEN cause_outside ELSE outside END AS from_outside,
        coalesce(off_hours(event_time), false) AND NOT by_platform AS at_odd_hours,
        coalesce(any_matches(touches, 'critical_instances'), false) AS on_critical,
        through_service OR service = 'ess' AS by_hand
    FROM judged
    LEFT JOIN together ON together.event_key = judged.event_key
)
SELECT
    weighed.*,
    CASE WHEN NOT doubtful OR burst = 0 OR reason NOT LIKE 'automation_roles: %' THEN reason END AS expected_because,
    -- One burst, one person's scale-ins of a day, one day of the platform and of a service's role are one finding each.
    CASE
        WHEN burst > 0 THEN 'burst ' || crew
        WHEN by_hand THEN 'set off by ' || who
        WHEN by_platform AND NOT on_critical THEN 'platform'
        WHEN by_service AND NOT by_platform THEN 'service role ' || role_name
        ELSE encode(event_key, 'hex')
    END AS one_finding,
    CASE
        WHEN by_platform THEN CASE WHEN on_critical AND NOT on_schedule THEN 'high' ELSE 'info' END
        WHEN by_service AND NOT through_service THEN 'low'
        -- That a call which names no instance was the cause is likely, not certain.
        WHEN through_service AND NOT cause_named THEN CASE WHEN burst > 0 OR on_critical THEN 'high' ELSE 'medium' END
        WHEN burst > 0 OR family IN ('release', 'scheduled release') AND on_critical THEN 'critical'
        -- A person from elsewhere who lets a service release instances hides behind its role.
        WHEN family = 'release' AND by_hand AND from_outside THEN 'critical'
        WHEN family IN ('release', 'scheduled release') OR forced OR by_root OR without_mfa OR from_outside OR at_odd_hours OR on_critical OR rebooted_again
            THEN 'high'
        ELSE 'medium'
    END AS severity,
    CASE
        WHEN by_hand THEN 'set off by a person'
        WHEN on_schedule THEN 'scheduled release'
        WHEN by_platform THEN 'platform event'
        WHEN by_service THEN 'service event'
        ELSE 'operator found'
    END AS verdict,
    CASE WHEN through_service THEN cause_name WHEN by_hand THEN own_name END AS set_off_by,
    concat_ws('; ',
        CASE
            WHEN through_service AND NOT cause_named THEN 'Perhaps set off by ' || cause_name || ', who called ' || called || ' at ' || CAST(cause_time AS VARCHAR)
            WHEN through_service THEN 'Set off by ' || cause_name || ', who called ' || called || ' at ' || CAST(cause_time AS VARCHAR)
            WHEN by_hand THEN 'Set off by ' || own_name || ' through Auto Scaling'
        END,
        CASE family WHEN 'stop' THEN 'Stopped ' WHEN 'reboot' THEN 'Rebooted ' WHEN 'release' THEN 'Released ' ELSE 'Scheduled the release of ' END
            || CAST(cardinality(touches) AS VARCHAR) || ' instance(s)',
        CASE WHEN forced THEN 'The stop was forced: power was cut and unsaved data is lost' END,
        CASE WHEN event_action LIKE 'stop%' AND lower(param(request_parameters, request_parameter_json, 'StoppedMode')) = 'stopcharging' THEN 'StopCharging is set: the instance may not start again and its public address may change' END,
        CASE WHEN event_action IN ('stopinstances', 'rebootinstances') AND lower(param(request_parameters, request_parameter_json, 'BatchOptimization')) = 'successfirst' THEN 'SuccessFirst is set: some instances may still run' END,
        CASE WHEN by_root THEN 'The root account acted' END,
        CASE WHEN without_mfa THEN 'The console session was opened without MFA' END,
        CASE WHEN from_outside THEN 'The source address ' || CASE WHEN through_service THEN cause_address ELSE client_ip END || ' is in no corporate range' END,
        CASE WHEN at_odd_hours THEN 'It happened outside business hours' END,
        CASE WHEN on_critical THEN 'A critical instance is affected' END,
        CASE WHEN rebooted_again THEN 'Rebooted at least three times within 30 minutes' END,
        CASE WHEN burst > 0 THEN 'A burst of ' || CAST(burst AS VARCHAR) || ' instances within 10 minutes' END,
        CASE WHEN NOT through_service AND cause_time >= event_time - INTERVAL '15 minutes'
             THEN 'It came within 15 minutes after ' || CAST(cause_time AS VARCHAR) || ' ' || called || ' by ' || cause_name END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' AND NOT by_platform AND NOT by_service THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL
             THEN CASE WHEN ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NULL THEN 'The corporate ranges are not set' ELSE 'The corporate ranges have no IPv6 range' END END,
        CASE WHEN cardinality(touches) = 0 THEN 'The event names no instance' END,
        CASE WHEN event_time IS NULL THEN 'The event has no readable time' END) AS unknowns
FROM weighed
