-- A policy with full rights, or with the right to grant them, attached to a user, group or role.
SELECT
    events.*,
    CASE WHEN event_action = 'attachpolicytorole' THEN 'medium' ELSE 'high' END AS severity,
    concat_ws('; ',
        'event = ' || event_name,
        'policy ' || param(request_parameters, 'PolicyName'),
        'to ' || coalesce(param(request_parameters, 'UserName'), param(request_parameters, 'GroupName'), param(request_parameters, 'RoleName'), param(request_parameters, 'PrincipalName')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('attachpolicytouser', 'attachpolicytogroup', 'attachpolicytorole', 'attachpolicy')
  AND lower(service_name) IN ('ram', 'resourcemanager')
  AND lower(param(request_parameters, 'PolicyName')) IN ('administratoraccess', 'aliyunramfullaccess', 'aliyunstsassumeroleaccess')
  AND outcome = 'success'
