-- Changes of the network, attempts included: security groups, routes, networks, public addresses, load balancers and firewalls.
SELECT * FROM events
WHERE (lower(service_name) IN ('vpc', 'slb', 'alb', 'nlb', 'cbn', 'cloudfw', 'cloudfirewall', 'eip', 'nat', 'privatelink', 'waf', 'waf-openapi', 'ddoscoo')
       OR (lower(service_name) = 'ecs' AND (event_action LIKE '%securitygroup%' OR event_action LIKE '%publicip%' OR event_action LIKE '%eipaddress%'
           OR event_action LIKE '%networkinterface%' OR event_action LIKE '%route%')))
  AND coalesce(lower(event_rw), '') <> 'read'
  AND event_action NOT LIKE 'describe%' AND event_action NOT LIKE 'list%' AND event_action NOT LIKE 'get%'
