-- A protection against deletion was removed.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'of ' || coalesce(param(request_parameters, request_parameter_json, 'InstanceId'), param(request_parameters, request_parameter_json, 'DBInstanceId'), param(request_parameters, request_parameter_json, 'LoadBalancerId')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('modifyinstanceattribute', 'modifydbinstancedeletionprotection', 'setloadbalancerdeleteprotection')
  AND lower(coalesce(param(request_parameters, request_parameter_json, 'DeletionProtection'), param(request_parameters, request_parameter_json, 'DeleteProtection'))) IN ('false', 'off')
  AND outcome = 'success'
