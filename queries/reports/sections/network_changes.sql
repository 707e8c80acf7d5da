--! title = { en = "Changes of the network", zh = "网络变更" }
--! about = { en = "Security groups, routes, networks, public addresses, load balancers and firewalls changed, tried ones too.", zh = "安全组、路由、网络、公网地址、负载均衡和防火墙的变更，包括未成功的尝试。" }
--! empty = { en = "The network was not changed.", zh = "没有网络变更。" }
SELECT event_time, account_id, acs_region, coalesce(user_name, principal_id) AS operator, service_name, event_name, resource_name, outcome,
       source_ip_address, event_id
FROM network_changes
WHERE event_time >= $since AND event_time < $until
ORDER BY event_time, event_id
