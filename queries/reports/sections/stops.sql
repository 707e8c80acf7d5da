--! title = { en = "Stops, reboots and releases of instances", zh = "实例停止、重启与释放" }
--! about = { en = "Every such call and who made it; where the platform did, nobody is named. A stop from inside the guest or a failing host leaves no event here.", zh = "每次调用及其操作者；平台发起的不显示操作者。来自系统内部的关机或主机故障不会在此留下事件。" }
--! empty = { en = "No instance was stopped by a call.", zh = "没有通过调用停止的实例。" }
SELECT event_time, account_id, acs_region, event_name,
       -- One call can stop a hundred instances; the event's id leads to all of them.
       array_to_string(array_slice(instance_ids, 1, 12), ', ') || CASE WHEN cardinality(instance_ids) > 12 THEN ' (+' || CAST(cardinality(instance_ids) - 12 AS VARCHAR) || ')' ELSE '' END AS instances,
       CASE WHEN lower(event_type) = 'aliyunserviceevent' OR lower(trim(user_type)) = 'system' THEN 'platform'
            WHEN coalesce(user_name, principal_id) IS NULL THEN 'unknown' ELSE 'operator' END AS done_by,
       coalesce(user_name, principal_id) AS operator, source_ip_address, outcome, error_code, event_id
FROM stops WHERE event_time >= $since AND event_time < $until
ORDER BY event_time, event_id
