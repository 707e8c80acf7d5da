-- Databases stopped or restarted, container groups deleted, and instances of other services and by other ways stopped, released or left to expire, without
-- an exception or change window.
WITH changes AS (
    SELECT
        events.*,
        CASE
            WHEN event_action IN ('refundinstance', 'deletercinstances', 'deletecontainergroup') OR event_action LIKE 'release%' THEN 'release'
            WHEN event_action IN ('modifyinstanceautorenewattribute', 'setrenewal') THEN 'renewal'
            WHEN event_action LIKE 'stop%' THEN 'stop'
            ELSE 'restart'
        END AS family,
        -- All of them: a superfluous parameter must not stand before the real one.
        array_distinct(array_concat(
            coalesce(values_at(request_parameters, request_parameter_json, 'DBInstanceId'), make_array()),
            coalesce(values_at(request_parameters, request_parameter_json, 'ContainerGroupId'), make_array()),
            coalesce(values_at(request_parameters, request_parameter_json, 'InstanceId'), make_array()),
            coalesce(values_at(request_parameters, request_parameter_json, 'InstanceIds'), make_array()),
            coalesce(values_at(request_parameters, request_parameter_json, 'ServerId'), make_array()),
            CASE WHEN resource_name IS NOT NULL THEN make_array(resource_name) ELSE make_array() END)) AS targets,
        coalesce(lower(trim(user_type)) = 'root-account', false) AS by_root,
        -- `false` is the normal value of role sessions, so only people's own console sessions count.
        coalesce(credential_kind = 'console_session' AND session_mfa = 'no' AND lower(trim(user_type)) IN ('root-account', 'ram-user'), false) AS without_mfa,
        coalesce(source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time), false) AS from_outside,
        coalesce(off_hours(event_time), false) AS at_odd_hours
    FROM events
    WHERE (lower(service_name) = 'rds' AND event_action IN ('stopdbinstance', 'restartdbinstance', 'stoprcinstance', 'stoprcinstances', 'deletercinstances')
        OR lower(service_name) = 'eci' AND event_action = 'deletecontainergroup'
        OR lower(service_name) = 'ens' AND event_action IN ('stopinstance', 'rebootinstance', 'rebootarmserverinstance', 'rebootaicinstance', 'releaseinstance',
            'releasepostpaidinstance', 'releaseprepaidinstance', 'releasearmserverinstance', 'releaseaicinstance')
        OR lower(service_name) IN ('swas', 'swas-open') AND event_action IN ('stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances')
        OR lower(service_name) = 'bssopenapi' AND event_action = 'refundinstance'
        OR lower(service_name) = 'bssopenapi' AND event_action = 'setrenewal' AND lower(param(request_parameters, request_parameter_json, 'RenewalStatus')) = 'notrenewal'
        OR lower(service_name) = 'ecs' AND event_action = 'modifyinstanceautorenewattribute' AND lower(param(request_parameters, request_parameter_json, 'RenewalStatus')) = 'notrenewal')
      AND outcome = 'success'
      AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
),
weighed AS (
    SELECT *, CASE WHEN cardinality(targets) > 0 THEN array_to_string(targets, ', ') END AS target, coalesce(any_matches(targets, 'critical_instances'), false) AS on_critical FROM changes
)
SELECT
    weighed.*,
    CASE
        WHEN by_root OR without_mfa OR from_outside OR at_odd_hours OR on_critical THEN 'high'
        WHEN family = 'release' AND event_action <> 'deletecontainergroup' THEN 'high'
        ELSE 'medium'
    END AS severity,
    concat_ws('; ',
        CASE
            WHEN event_action = 'refundinstance' THEN 'Returned the subscription ' || coalesce(target, '-') || ', which releases it'
            WHEN family = 'release' THEN 'Released ' || coalesce(target, '-')
            WHEN family = 'renewal' THEN 'Switched off the renewal of ' || coalesce(target, '-')
            WHEN family = 'stop' THEN 'Stopped ' || coalesce(target, '-')
            ELSE 'Restarted ' || coalesce(target, '-')
        END,
        CASE WHEN by_root THEN 'The root account acted' END,
        CASE WHEN without_mfa THEN 'The console session was opened without MFA' END,
        CASE WHEN from_outside THEN 'The source address ' || client_ip || ' is in no corporate range' END,
        CASE WHEN at_odd_hours THEN 'It happened outside business hours' END,
        CASE WHEN on_critical THEN 'A critical instance is affected' END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL
             THEN CASE WHEN ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NULL THEN 'The corporate ranges are not set' ELSE 'The corporate ranges have no IPv6 range' END END,
        CASE WHEN target IS NULL THEN 'The event does not say which resource' END,
        CASE WHEN event_time IS NULL THEN 'The event has no readable time' END) AS unknowns,
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
         THEN 'change_windows: ' || change_window(event_time, account_id, acs_region, coalesce(role_name, user_name), targets) END AS expected_because
FROM weighed
