-- Changes of access through CloudSSO.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'user ' || coalesce(param(request_parameters, 'UserId'), param(request_parameters, 'PrincipalId')),
        'to account ' || param(request_parameters, 'TargetId'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createaccessassignment', 'resetuserpassword', 'updateuserstatus')
  AND lower(service_name) = 'cloudsso'
  AND outcome = 'success'
