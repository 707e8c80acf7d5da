-- A database that the whole internet can reach.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'instance ' || coalesce(param(request_parameters, 'DBInstanceId'), param(request_parameters, 'InstanceId'), param(request_parameters, 'DBClusterId')),
        'whitelist ' || coalesce(param(request_parameters, 'SecurityIps'), param(request_parameters, 'SecurityIPList')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('modifysecurityips', 'modifydbclusteraccesswhitelist', 'allocateinstancepublicconnection')
  AND outcome = 'success'
  AND (event_action = 'allocateinstancepublicconnection'
    OR regexp_like(coalesce(param(request_parameters, 'SecurityIps'), param(request_parameters, 'SecurityIPList')), '(^|[, ])(0\.0\.0\.0(/0)?|::/0)([, ]|$)'))
