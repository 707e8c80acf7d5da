--! title = { en = "Changes of the network", zh = "网络变更" }
--! about = { en = "Security groups, routes, networks, public addresses, load balancers and firewalls changed, tried ones too.", zh = "安全组、路由、网络、公网地址、负载均衡和防火墙的变更，包括未成功的尝试。" }
--! empty = { en = "The network was not changed.", zh = "没有网络变更。" }
SELECT event_time, account_id, acs_region, coalesce(user_name, principal_id) AS operator, service_name, event_name, resource_name, outcome,
       source_ip_address, event_id
FROM events
WHERE (lower(service_name) IN ('vpc', 'slb', 'alb', 'nlb', 'cbn', 'cloudfw', 'cloudfirewall', 'eip', 'nat', 'privatelink', 'waf', 'waf-openapi', 'ddoscoo')
       OR (lower(service_name) = 'ecs' AND (event_action LIKE '%securitygroup%' OR event_action LIKE '%publicip%' OR event_action LIKE '%eipaddress%'
           OR event_action LIKE '%networkinterface%' OR event_action LIKE '%route%')))
  AND coalesce(lower(event_rw), '') <> 'read'
  AND event_action NOT LIKE 'describe%' AND event_action NOT LIKE 'list%' AND event_action NOT LIKE 'get%'
  AND event_time >= $since AND event_time < $until
ORDER BY event_time, event_id
