--! question = { en = "Which principals, keys, addresses and calls are new?", zh = "哪些身份、密钥、地址和调用是新出现的？" }
--! when = "The weekly look: what was not there in the weeks before."
--! next = ["principal_summary: what a new principal does", "access_key: what a new key is used for", "address: who comes from a new address"]
--! [parameters.since]
--! kind = "time"
--! default = "-7d"
--! meaning = "What was first seen from then on."
--! [parameters.until]
--! kind = "time"
--! default = "now"
--! meaning = "Until when, this moment not included."
--! [parameters.before]
--! kind = "time"
--! default = "-90d"
--! meaning = "How far back it must not have been seen."
WITH looked AS (
    SELECT account_id, event_time, principal_id, coalesce(user_name, '') AS user_name, access_key_id, source_ip_address, service_name, event_action
    FROM events WHERE event_time >= $before AND event_time < $until
),
kinds AS (
    SELECT 1 AS place, 'principal' AS kind, account_id, principal_id AS value, max(user_name) AS name, count(*) AS events, min(event_time) AS first_seen, max(event_time) AS last_seen
    FROM looked WHERE principal_id IS NOT NULL GROUP BY account_id, principal_id
    UNION ALL
    SELECT 2, 'access key', account_id, mask_key(access_key_id), max(user_name), count(*), min(event_time), max(event_time)
    FROM looked WHERE access_key_id IS NOT NULL AND access_key_id NOT LIKE 'STS.%' AND access_key_id NOT LIKE 'TMP.%' GROUP BY account_id, access_key_id
    UNION ALL
    SELECT 3, 'address', account_id, source_ip_address, max(user_name), count(*), min(event_time), max(event_time)
    FROM looked WHERE source_ip_address IS NOT NULL GROUP BY account_id, source_ip_address
    UNION ALL
    SELECT 4, 'call', account_id, coalesce(service_name, '?') || ' ' || event_action, max(user_name), count(*), min(event_time), max(event_time)
    FROM looked WHERE event_action IS NOT NULL GROUP BY account_id, service_name, event_action
)
SELECT kind, account_id, value, name AS one_user, events, first_seen, last_seen
FROM kinds WHERE first_seen >= $since
ORDER BY place, first_seen, account_id, value
