-- Instances ended by way of scaling groups, clusters, stacks: a person's call after which a service stops or releases instances with a role of its own.
-- Removing instances from a scaling group by name is AT-ECS-001.
WITH calls AS (
    SELECT
        events.*,
        coalesce(lower(trim(user_type)) = 'root-account', false) AS by_root,
        coalesce(source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time), false) AS from_outside,
        coalesce(off_hours(event_time), false) AS at_odd_hours,
        -- The event lacks what the call must name, whatever else it has: whoever calls can add parameters.
        coalesce(request_parameters, request_parameter_json) IS NULL
            OR event_action = 'deletescalinggroup' AND values_at(request_parameters, request_parameter_json, 'ForceDelete') IS NULL AND values_at(request_parameters, request_parameter_json, 'ScalingGroupId') IS NULL AS undetermined,
        CASE WHEN lower(service_name) = 'ess' THEN coalesce(param(request_parameters, request_parameter_json, 'ScalingGroupId'), param(request_parameters, request_parameter_json, 'InstanceId'),
                  param(request_parameters, request_parameter_json, 'ScheduledTaskId'))
             WHEN lower(service_name) = 'cs' THEN coalesce(param(request_parameters, request_parameter_json, 'ClusterId'), param(request_parameters, request_parameter_json, 'NodepoolId'))
             ELSE coalesce(param(request_parameters, request_parameter_json, 'StackId'), param(request_parameters, request_parameter_json, 'StackGroupName')) END AS target,
        coalesce(lower(param(request_parameters, request_parameter_json, 'release_node')) = 'true', false) OR coalesce(lower(param(request_parameters, request_parameter_json, 'body.release_node')) = 'true', false) AS releases
    FROM events
    WHERE outcome = 'success'
      AND (lower(service_name) = 'ess' AND event_action = 'modifyscalinggroup'
              AND (try_cast(param(request_parameters, request_parameter_json, 'MaxSize') AS BIGINT) = 0 OR try_cast(param(request_parameters, request_parameter_json, 'DesiredCapacity') AS BIGINT) = 0)
        OR lower(service_name) = 'ess' AND event_action IN ('createscheduledtask', 'modifyscheduledtask')
              AND (try_cast(param(request_parameters, request_parameter_json, 'MaxValue') AS BIGINT) = 0 OR try_cast(param(request_parameters, request_parameter_json, 'DesiredCapacity') AS BIGINT) = 0)
        OR lower(service_name) = 'ess' AND event_action = 'scalewithadjustment'
              AND lower(param(request_parameters, request_parameter_json, 'AdjustmentType')) = 'totalcapacity' AND try_cast(param(request_parameters, request_parameter_json, 'AdjustmentValue') AS BIGINT) = 0
        -- Without force, only an empty group can be deleted. An event that lacks both does not say.
        OR lower(service_name) = 'ess' AND event_action = 'deletescalinggroup'
              AND (lower(param(request_parameters, request_parameter_json, 'ForceDelete')) IN ('true', '1') OR values_at(request_parameters, request_parameter_json, 'ForceDelete') IS NULL AND values_at(request_parameters, request_parameter_json, 'ScalingGroupId') IS NULL)
        OR lower(service_name) = 'ess' AND event_action = 'setinstancehealth'
              AND coalesce(lower(param(request_parameters, request_parameter_json, 'HealthStatus')), '') <> 'healthy'
        OR lower(service_name) = 'cs' AND event_action IN ('deleteclusternodes', 'removenodepoolnodes', 'deleteclusternodepool')
        OR lower(service_name) = 'ros' AND event_action = 'deletestack'
              AND coalesce(lower(param(request_parameters, request_parameter_json, 'RetainAllResources')), '') <> 'true'
        OR lower(service_name) = 'ros' AND event_action = 'deletestackinstances'
              AND coalesce(lower(param(request_parameters, request_parameter_json, 'RetainStacks')), '') <> 'true')
)
SELECT
    calls.*,
    CASE WHEN undetermined THEN 'parameters-undetermined' END AS variant,
    CASE
        WHEN by_root OR from_outside OR at_odd_hours THEN 'high'
        WHEN undetermined OR lower(service_name) = 'cs' AND NOT releases THEN 'low'
        ELSE 'medium'
    END AS severity,
    concat_ws('; ',
        CASE
            WHEN event_action IN ('modifyscalinggroup', 'scalewithadjustment') THEN 'Cut scaling group ' || coalesce(target, '-') || ' down to no instance'
            WHEN event_action IN ('createscheduledtask', 'modifyscheduledtask') THEN 'Set a scheduled task that cuts scaling group ' || coalesce(target, '-') || ' down to no instance'
            WHEN event_action = 'deletescalinggroup' AND undetermined THEN 'Deleted scaling group ' || coalesce(target, '-')
            WHEN event_action = 'deletescalinggroup' THEN 'Deleted scaling group ' || coalesce(target, '-') || ' with its instances'
            WHEN event_action = 'setinstancehealth' THEN 'Declared ' || coalesce(target, '-') || ' unhealthy, so that Auto Scaling replaces it'
            WHEN event_action = 'deleteclusternodepool' THEN 'Deleted node pool ' || coalesce(param(request_parameters, request_parameter_json, 'NodepoolId'), '-')
            WHEN lower(service_name) = 'cs' AND releases THEN 'Removed nodes of cluster ' || coalesce(target, '-') || ' and releases their instances'
            WHEN lower(service_name) = 'cs' THEN 'Removed nodes of cluster ' || coalesce(target, '-')
            ELSE 'Deleted stack ' || coalesce(target, '-') || ' with its resources'
        END,
        CASE WHEN by_root THEN 'The root account acted' END,
        CASE WHEN from_outside THEN 'The source address ' || client_ip || ' is in no corporate range' END,
        CASE WHEN at_odd_hours THEN 'It happened outside business hours' END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL
             THEN CASE WHEN ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NULL THEN 'The corporate ranges are not set' ELSE 'The corporate ranges have no IPv6 range' END END,
        CASE WHEN undetermined THEN 'The request parameters are unknown' END,
        CASE WHEN target IS NULL THEN 'The event does not say which resource' END) AS unknowns,
    -- A role that programs use does this every day. Elsewhere than in the company's ranges its credentials may be stolen. No change is planned for the
    -- root account, for a session without MFA, or from there.
    CASE WHEN matches(role_name, 'automation_roles') AND (coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false) OR source_class = 'service'
            OR coalesce(ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10'), false)
            OR ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NULL)
         THEN 'automation_roles: ' || role_name
         WHEN NOT (coalesce(lower(trim(user_type)) = 'root-account', false)
            OR coalesce(credential_kind = 'console_session' AND session_mfa = 'no' AND lower(trim(user_type)) IN ('root-account', 'ram-user'), false)
            OR coalesce(source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time)
                AND NOT (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10')), false))
         THEN 'change_windows: ' || change_window(event_time, account_id, acs_region, coalesce(role_name, user_name), instance_ids) END AS expected_because
FROM calls
