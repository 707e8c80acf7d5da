-- Logs, their index or their alarms were removed. Critical for those of a trail.
SELECT
    events.*,
    CASE
        WHEN event_action = 'deleteproject' THEN 'critical'
        WHEN lower(coalesce(param(request_parameters, 'logstore'), param(request_parameters, 'logstoreName'))) LIKE 'actiontrail%' THEN 'critical'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        'event = ' || event_name,
        'project ' || coalesce(param(request_parameters, 'project'), param(request_parameters, 'projectName')),
        'logstore ' || coalesce(param(request_parameters, 'logstore'), param(request_parameters, 'logstoreName')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('deleteproject', 'deletelogstore', 'deleteindex', 'disablealert', 'deletealert')
  AND lower(service_name) IN ('sls', 'log')
  AND outcome = 'success'
