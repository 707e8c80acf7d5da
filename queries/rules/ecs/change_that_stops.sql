-- Changes that stop an instance on the way: a move to another host, or a resize.
SELECT
    events.*,
    concat_ws('; ',
        CASE WHEN event_action = 'redeployinstance' THEN 'Moved an instance to another host' ELSE 'Changed the specification of an instance' END,
        CASE WHEN cardinality(instance_ids) > 0 THEN 'The instances are ' || array_to_string(instance_ids, ', ') END,
        CASE WHEN lower(param(request_parameters, request_parameter_json, 'ForceStop')) = 'true' THEN 'The stop was forced' END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN cardinality(instance_ids) = 0 THEN 'The event names no instance' END) AS unknowns,
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
FROM events
WHERE event_action IN ('redeployinstance', 'modifyinstancespec', 'modifyprepayinstancespec')
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
