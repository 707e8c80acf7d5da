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
    CASE WHEN matches(role_name, 'automation_roles') THEN 'automation_roles: ' || role_name
         ELSE 'change_windows: ' || change_window(event_time, account_id, acs_region, coalesce(role_name, user_name), instance_ids) END AS expected_because
FROM events
WHERE event_action IN ('redeployinstance', 'modifyinstancespec', 'modifyprepayinstancespec')
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
