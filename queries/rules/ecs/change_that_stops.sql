-- Changes that stop an instance on the way: a move to another host, or a resize.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'on ' || array_to_string(instance_ids, ' '),
        CASE WHEN lower(param(request_parameters, 'ForceStop')) = 'true' THEN 'forced' END,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns,
    CASE WHEN matches(role_name, 'automation_roles') THEN 'automation_roles: ' || role_name
         ELSE 'change_windows: ' || change_window(event_time, account_id, acs_region, coalesce(role_name, user_name), instance_ids) END AS expected_because
FROM events
WHERE event_action IN ('redeployinstance', 'modifyinstancespec', 'modifyprepayinstancespec')
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
