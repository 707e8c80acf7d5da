--! question = { en = "What was this AccessKey used for, and from where?", zh = "这个 AccessKey 被谁、从哪里、用来做了什么？" }
--! when = "A key has leaked, is to be rotated, or stands in a finding."
--! next = ["address: who else comes from where the key was used", "principal_timeline: what the owner did without the key"]
--! [parameters.access_key]
--! meaning = "AccessKey id in full; findings show it masked, the table `events` does not."
--! [parameters.since]
--! kind = "time"
--! default = "-30d"
--! meaning = "From when on."
--! [parameters.until]
--! kind = "time"
--! default = "now"
--! meaning = "Until when, this moment not included."
SELECT user_name, principal_id, account_id, source_ip_address, source_class, user_agent, service_name, event_name,
       count(*) AS events, count(*) FILTER (WHERE outcome = 'failure') AS failures, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM events
WHERE access_key_id = $access_key AND event_time >= $since AND event_time < $until
GROUP BY user_name, principal_id, account_id, source_ip_address, source_class, user_agent, service_name, event_name
ORDER BY first_seen, event_name
