-- Somebody read the trail's own logs: the Logstore `actiontrail_<trail>`, or the events in ActionTrail.
SELECT
    events.*,
    concat_ws('; ',
        CASE WHEN event_action = 'lookupevents' THEN 'Looked events up in ActionTrail' ELSE 'Read the logs of a trail' END,
        'The project is ' || param(request_parameters, request_parameter_json, 'project'),
        'The Logstore is ' || CASE WHEN event_action = 'createdownloadjob' THEN param(request_parameters, request_parameter_json, 'body.logstore') ELSE coalesce(param(request_parameters, request_parameter_json, 'logstore'), param(request_parameters, request_parameter_json, 'body.logstore')) END) AS why,
    CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END AS unknowns
FROM events
WHERE outcome = 'success'
  AND (event_action IN ('getlogs', 'getlogsv2', 'getlogstorelogs', 'gethistograms', 'getcontextlogs', 'pulllogs', 'getcursor', 'getcursorordata', 'createdownloadjob')
       AND lower(service_name) IN ('sls', 'log')
       AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'logstore'), 'contains', 'actiontrail'), false)
         OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'body.logstore'), 'contains', 'actiontrail'), false)
         OR coalesce(lower(resource_name) LIKE '%actiontrail%', false))
    OR event_action = 'lookupevents' AND lower(service_name) = 'actiontrail')
