--! question = { en = "Who used the root account, and what for?", zh = "谁使用了主账号，做了什么？" }
--! when = "The root account should be at rest; this shows each time it was not."
--! next = ["access_key: where a key of root was used", "address: who else comes from there"]
--! [parameters.since]
--! kind = "time"
--! default = "-90d"
--! meaning = "From when on."
--! [parameters.until]
--! kind = "time"
--! default = "now"
--! meaning = "Until when, this moment not included."
--! [parameters.account]
--! default = ""
--! meaning = "Only this account."
SELECT account_id, date_bin(INTERVAL '1 hour', event_time) AS hour, source_ip_address, credential_kind, mask_key(access_key_id) AS access_key_id, mfa, user_agent,
       service_name, event_name, count(*) AS events, count(*) FILTER (WHERE outcome = 'failure') AS failures,
       min(event_time) AS first_seen, max(event_time) AS last_seen
FROM root_activity
WHERE event_time >= $since AND event_time < $until AND ($account = '' OR account_id = $account)
GROUP BY 1, 2, 3, 4, mask_key(access_key_id), 6, 7, 8, 9
ORDER BY first_seen, event_name
