--! question = { en = "Who did what from this address?", zh = "谁从这个地址做了什么？" }
--! when = "An address stands in a finding, a threat feed or a firewall's log."
--! next = ["principal_timeline: all that one of them did", "access_key: where else a key was used"]
--! [parameters.address]
--! meaning = "An IPv4 or IPv6 address, a service's host name, or `Internal`, as it was sent."
--! [parameters.since]
--! kind = "time"
--! default = "-30d"
--! meaning = "From when on."
--! [parameters.until]
--! kind = "time"
--! default = "now"
--! meaning = "Until when, this moment not included."
SELECT account_id, user_type, user_name, principal_id, mask_key(access_key_id) AS access_key_id, service_name, event_name, user_agent,
       count(*) AS events, count(*) FILTER (WHERE outcome = 'failure') AS failures, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM events
WHERE (source_ip_address = $address OR client_ip = $address) AND event_time >= $since AND event_time < $until
GROUP BY account_id, user_type, user_name, principal_id, access_key_id, service_name, event_name, user_agent
ORDER BY first_seen, event_name
