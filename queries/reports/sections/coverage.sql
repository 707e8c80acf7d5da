--! title = { en = "What the data covers", zh = "数据覆盖" }
--! about = { en = "By account: how much there is, of which kinds, and how often what detections ask for is not known.", zh = "各账号：数据量、类型，以及检测所需信息缺失的次数。" }
--! empty = { en = "There is no event of this period: silence says nothing.", zh = "本期没有事件：没有结果不代表没有问题。" }
SELECT account_id, count(*) AS events, count(*) FILTER (WHERE lower(event_rw) = 'read') AS read_events,
       count(*) FILTER (WHERE lower(event_category) = 'data') AS data_events, count(DISTINCT acs_region) AS regions,
       count(DISTINCT date_bin(INTERVAL '1 hour', event_time)) AS hours_with_events,
       count(*) FILTER (WHERE outcome = 'success' AND event_action LIKE 'consolesignin%' AND mfa NOT IN ('yes', 'no')) AS mfa_unknown,
       count(*) FILTER (WHERE source_class NOT IN ('ip', 'internal', 'service')) AS address_unknown,
       min(event_time) AS first_seen, max(event_time) AS last_seen
FROM events WHERE event_time >= $since AND event_time < $until
GROUP BY account_id ORDER BY events DESC, account_id
