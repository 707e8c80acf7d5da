--! title = { en = "Acts of the cloud provider", zh = "云服务商的操作" }
--! about = { en = "What people and systems of the provider did to resources of the accounts: support, maintenance, penalties. Their feed (Inner-ActionTrail) must be delivered to the lake.", zh = "云服务商人员与系统对账号内资源的操作：技术支持、运维、处罚。需将其日志（Inner-ActionTrail）投递到数据湖。" }
--! empty = { en = "No act of the provider is on record. Check that the feed is delivered.", zh = "没有云服务商操作的记录。请确认已投递该日志。" }
SELECT event_time, account_id, acs_region, service_name, event_name, event_type, reason, employee_id, resource_name, event_id
FROM provider_events
WHERE event_time >= $since AND event_time < $until
ORDER BY event_time, event_id
