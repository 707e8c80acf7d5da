-- A protection against deletion was removed.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'of ' || coalesce(param(request_parameters, 'InstanceId'), param(request_parameters, 'DBInstanceId'), param(request_parameters, 'LoadBalancerId')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('modifyinstanceattribute', 'modifydbinstancedeletionprotection', 'setloadbalancerdeleteprotection')
  AND lower(coalesce(param(request_parameters, 'DeletionProtection'), param(request_parameters, 'DeleteProtection'))) IN ('false', 'off')
  AND outcome = 'success'
