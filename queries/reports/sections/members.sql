--! title = { en = "Members", zh = "成员" }
--! about = { en = "Each person under a user of their own: how much they did, how they signed in, from how many addresses.", zh = "使用个人用户的每位成员：操作数量、登录方式、来源地址数。" }
--! empty = { en = "No member did anything.", zh = "没有成员操作。" }
SELECT account_id, user_type, user_name, principal_id, count(*) AS events,
       count(*) FILTER (WHERE coalesce(lower(event_rw), '') <> 'read') AS writes, count(*) FILTER (WHERE outcome = 'failure') AS failures,
       count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND outcome = 'success') AS sign_ins,
       count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND outcome = 'success' AND mfa = 'yes') AS mfa_yes,
       count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND outcome = 'success' AND mfa = 'no') AS mfa_no,
       count(*) FILTER (WHERE event_action LIKE 'consolesignin%' AND outcome = 'success' AND mfa NOT IN ('yes', 'no')) AS mfa_unknown,
       count(DISTINCT source_ip_address) AS addresses, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM member_activity WHERE event_time >= $since AND event_time < $until
GROUP BY account_id, user_type, user_name, principal_id ORDER BY account_id, user_name, principal_id, user_type
