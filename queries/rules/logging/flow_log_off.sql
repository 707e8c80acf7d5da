-- Flow logs were stopped or deleted. The event names have the API's own spelling.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'flow log ' || param(request_parameters, 'FlowLogId'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('deactiveflowlog', 'deleteflowlog')
  AND lower(service_name) = 'vpc'
  AND outcome = 'success'
