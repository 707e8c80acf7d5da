-- Access to an instance or its role was changed: key pairs, passwords, start scripts, RAM roles.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'on ' || array_to_string(instance_ids, ', '),
        'role ' || param(request_parameters, 'RamRoleName'),
        'key pair ' || param(request_parameters, 'KeyPairName'),
        CASE WHEN request_parameters LIKE '%"UserData"%' THEN 'start script' END,
        CASE WHEN request_parameters LIKE '%"Password"%' THEN 'password' END,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE lower(service_name) = 'ecs'
  AND outcome = 'success'
  AND (event_action IN ('attachinstanceramrole', 'importkeypair', 'attachkeypair')
    OR event_action = 'modifyinstanceattribute'
       AND regexp_like(request_parameters, '"(UserData|Password)"')
    OR event_action = 'modifyinstancemetadataoptions' AND lower(param(request_parameters, 'HttpTokens')) = 'optional')
