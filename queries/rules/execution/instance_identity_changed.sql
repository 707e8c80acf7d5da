-- Access to an instance or its role was changed: key pairs, passwords, start scripts, RAM roles.
-- The trail hides secrets behind asterisks, which `param` reads as no value and `values_at` keeps.
SELECT
    events.*,
    concat_ws('; ',
        CASE
            WHEN event_action = 'attachinstanceramrole' THEN 'Attached role ' || coalesce(param(request_parameters, request_parameter_json, 'RamRoleName'), '-') || ' to instances'
            WHEN event_action = 'attachkeypair' THEN 'Attached key pair ' || coalesce(param(request_parameters, request_parameter_json, 'KeyPairName'), '-') || ' to instances'
            WHEN event_action = 'modifyinstancemetadataoptions' THEN 'The metadata of an instance can be read without a token'
        END,
        CASE WHEN event_action = 'modifyinstanceattribute' AND coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'UserData'), ''), '') <> '' THEN 'Changed the start script of an instance' END,
        CASE WHEN event_action = 'modifyinstanceattribute' AND coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'Password'), ''), '') <> '' THEN 'Changed the password of an instance' END,
        CASE WHEN cardinality(instance_ids) > 0 THEN 'The instances are ' || array_to_string(instance_ids, ', ') END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN cardinality(instance_ids) = 0 THEN 'The event names no instance' END) AS unknowns
FROM events
WHERE lower(service_name) = 'ecs'
  AND outcome = 'success'
  AND (event_action IN ('attachinstanceramrole', 'attachkeypair')
    OR event_action = 'modifyinstanceattribute'
       AND (coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'UserData'), ''), '') <> '' OR coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'Password'), ''), '') <> '')
    OR event_action = 'modifyinstancemetadataoptions' AND lower(param(request_parameters, request_parameter_json, 'HttpTokens')) = 'optional')
