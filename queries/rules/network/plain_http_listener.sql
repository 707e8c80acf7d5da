-- A load balancer listener without encryption: its traffic can be read on the way.
SELECT
    events.*,
    coalesce('Load balancer ' || param(request_parameters, request_parameter_json, 'LoadBalancerId') || ' listens without encryption on port '
        || coalesce(param(request_parameters, request_parameter_json, 'ListenerPort'), '?'), 'A load balancer listens without encryption') AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createloadbalancerhttplistener', 'createlistener')
  AND lower(service_name) IN ('slb', 'alb')
  AND outcome = 'success'
  AND (event_action = 'createloadbalancerhttplistener' AND NOT coalesce(lower(param(request_parameters, request_parameter_json, 'ListenerForward')) = 'on', false)
    OR event_action = 'createlistener' AND any_is(values_at(request_parameters, request_parameter_json, 'ListenerProtocol'), 'equals', 'http')
        -- One that sends every request on to HTTPS carries nothing: all of its actions redirect.
        AND NOT coalesce(cardinality(entries(request_parameters, request_parameter_json, 'DefaultActions')) =
            regexp_count(lower(array_to_string(entries(request_parameters, request_parameter_json, 'DefaultActions'), ',')), '"type"\s*:\s*"redirect'), false))
