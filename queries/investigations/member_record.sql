--! question = { en = "What did every member do in this period, for the record?", zh = "每位成员在这段时间内的操作记录是什么？" }
--! when = "The compliance audit asks for the operations of each person."
--! next = ["principal_timeline: the single events of one of them", "sign_ins: how one of them came in"]
--! [parameters.since]
--! kind = "time"
--! default = "-30d"
--! meaning = "From when on."
--! [parameters.until]
--! kind = "time"
--! default = "now"
--! meaning = "Until when, this moment not included."
--! [parameters.account]
--! default = ""
--! meaning = "Only this account."
SELECT account_id, user_type, user_name, principal_id, service_name, event_name, event_rw, count(*) AS events,
       count(*) FILTER (WHERE outcome = 'failure') AS failures, count(DISTINCT source_ip_address) AS addresses,
       min(event_time) AS first_seen, max(event_time) AS last_seen
FROM member_activity
WHERE event_time >= $since AND event_time < $until AND ($account = '' OR account_id = $account)
GROUP BY account_id, user_type, user_name, principal_id, service_name, event_name, event_rw
ORDER BY account_id, user_name, principal_id, service_name, event_name, event_rw
