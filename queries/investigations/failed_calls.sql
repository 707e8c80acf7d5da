--! question = { en = "Whose calls fail, which and why?", zh = "谁的调用失败了，是哪些，为什么？" }
--! when = "To find probing, broken automation, and rights that are missing."
--! next = ["principal_timeline: the single calls of one of them", "address: who else comes from there"]
--! [parameters.since]
--! kind = "time"
--! default = "-7d"
--! meaning = "From when on."
--! [parameters.until]
--! kind = "time"
--! default = "now"
--! meaning = "Until when, this moment not included."
--! [parameters.account]
--! default = ""
--! meaning = "Only this account."
SELECT account_id, user_type, coalesce(user_name, principal_id) AS operator, service_name, event_name, error_code, count(*) AS failures,
       count(DISTINCT source_ip_address) AS addresses, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM events
WHERE outcome = 'failure' AND event_time >= $since AND event_time < $until AND ($account = '' OR account_id = $account)
GROUP BY account_id, user_type, user_name, principal_id, service_name, event_name, error_code
ORDER BY failures DESC, account_id, operator, service_name, event_name, error_code
