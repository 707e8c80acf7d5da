--! title = { en = "Operations of each member", zh = "成员操作明细" }
--! about = { en = "What each member called, how often, how often in vain, and when.", zh = "每位成员调用的操作、次数、失败次数和时间。" }
--! empty = { en = "No member did anything.", zh = "没有成员操作。" }
SELECT account_id, user_name, principal_id, service_name, event_name, event_rw, count(*) AS events,
       count(*) FILTER (WHERE outcome = 'failure') AS failures, count(DISTINCT source_ip_address) AS addresses,
       min(event_time) AS first_seen, max(event_time) AS last_seen
FROM member_activity WHERE event_time >= $since AND event_time < $until
GROUP BY account_id, user_name, principal_id, service_name, event_name, event_rw
ORDER BY account_id, user_name, principal_id, service_name, event_name, event_rw
