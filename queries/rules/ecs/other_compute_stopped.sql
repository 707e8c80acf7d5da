-- Databases stopped or restarted and container groups deleted, without an exception or change window.
WITH changes AS (
    SELECT
        events.*,
        coalesce(param(request_parameters, 'DBInstanceId'), param(request_parameters, 'ContainerGroupId'), resource_name) AS target,
        coalesce(lower(trim(user_type)) = 'root-account', false) AS by_root,
        -- `false` is the normal value of role sessions, so only people's own console sessions count.
        coalesce(credential_kind = 'console_session' AND session_mfa = 'no' AND lower(trim(user_type)) IN ('root-account', 'ram-user'), false) AS without_mfa,
        coalesce(source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time), false) AS from_outside,
        coalesce(off_hours(event_time), false) AS at_odd_hours
    FROM events
    WHERE (lower(service_name) = 'rds' AND event_action IN ('stopdbinstance', 'restartdbinstance')
        OR lower(service_name) = 'eci' AND event_action = 'deletecontainergroup')
      AND outcome = 'success'
),
weighed AS (
    SELECT *, coalesce(matches(target, 'critical_instances'), false) AS on_critical FROM changes
)
SELECT
    weighed.*,
    CASE WHEN by_root OR without_mfa OR from_outside OR at_odd_hours OR on_critical THEN 'high' ELSE 'medium' END AS severity,
    concat_ws('; ',
        'event = ' || event_name,
        'on ' || target,
        CASE WHEN by_root THEN 'identity = root-account' END,
        CASE WHEN without_mfa THEN 'console session without MFA' END,
        CASE WHEN from_outside THEN 'source address ' || client_ip || ' is in no corporate range' END,
        CASE WHEN at_odd_hours THEN 'outside business hours' END,
        CASE WHEN on_critical THEN 'critical instance' END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END,
        CASE WHEN source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL THEN 'corporate ranges' END,
        CASE WHEN target IS NULL THEN 'instance' END,
        CASE WHEN event_time IS NULL THEN 'time' END) AS unknowns,
    CASE WHEN matches(role_name, 'automation_roles') THEN 'automation_roles: ' || role_name
         ELSE 'change_windows: ' || change_window(event_time, account_id, acs_region, coalesce(role_name, user_name), make_array(target)) END AS expected_because
FROM weighed
