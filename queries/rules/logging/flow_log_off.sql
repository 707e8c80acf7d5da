-- Flow logs were stopped or deleted, of a VPC, of a transit router or of an express connect router. The event names have the API's own spelling.
SELECT
    events.*,
    concat_ws('; ',
        CASE WHEN event_action = 'deactiveflowlog' THEN 'Stopped a flow log' ELSE 'Deleted a flow log' END,
        'The flow log is ' || param(request_parameters, request_parameter_json, 'FlowLogId'),
        CASE WHEN lower(service_name) <> 'vpc' THEN 'It records the traffic between networks' END) AS why,
    CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END AS unknowns
FROM events
WHERE event_action IN ('deactiveflowlog', 'deleteflowlog')
  AND lower(service_name) IN ('vpc', 'cbn', 'expressconnectrouter')
  AND outcome = 'success'
