-- Flow logs stopped or deleted. The API spells it so.
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
