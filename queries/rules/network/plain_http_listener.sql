-- A load balancer listener without encryption: its traffic can be read on the way.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'load balancer ' || param(request_parameters, 'LoadBalancerId'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE (event_action = 'createloadbalancerhttplistener' AND coalesce(lower(param(request_parameters, 'ListenerForward')), '') <> 'on'
    OR event_action = 'createlistener' AND upper(param(request_parameters, 'ListenerProtocol')) = 'HTTP')
  AND lower(service_name) IN ('slb', 'alb')
  AND outcome = 'success'
