--! title = { en = "Use of the root account", zh = "主账号使用情况" }
--! about = { en = "What the root account did. Object access with its key is seen only where data events are delivered.", zh = "主账号的所有操作。使用其密钥访问对象仅在投递数据事件时可见。" }
--! empty = { en = "The root account was not used, as far as the trail shows.", zh = "就日志所见，主账号未被使用。" }
SELECT account_id, service_name, event_name, credential_kind, mask_key(access_key_id) AS access_key_id, source_ip_address, outcome, mfa,
       count(*) AS events, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM root_activity WHERE event_time >= $since AND event_time < $until
GROUP BY account_id, service_name, event_name, credential_kind, mask_key(access_key_id), source_ip_address, outcome, mfa
ORDER BY events DESC, account_id, service_name, event_name, first_seen, source_ip_address, outcome
