--! title = { en = "What is new", zh = "新出现的身份、密钥、地址和调用" }
--! about = { en = "Principals, long-term keys, addresses and calls not seen in the ninety days before the period. In a young lake everything is new.", zh = "本期之前九十天内未出现过的身份、长期密钥、地址和调用。数据较少时一切都是新的。" }
--! empty = { en = "Nothing is new.", zh = "没有新出现的内容。" }
WITH looked AS MATERIALIZED (
    SELECT account_id, event_time, principal_id, coalesce(user_name, '') AS user_name, access_key_id, source_ip_address, service_name, event_action
    FROM events WHERE event_time >= $history AND event_time < $until
),
kinds AS (
    SELECT 1 AS place, 'principal' AS kind, account_id, principal_id AS value, max(user_name) AS operator, count(*) AS events, min(event_time) AS first_seen
    FROM looked WHERE principal_id IS NOT NULL GROUP BY account_id, principal_id
    UNION ALL
    SELECT 2, 'access_key', account_id, mask_key(access_key_id), max(user_name), count(*), min(event_time)
    FROM looked WHERE access_key_id IS NOT NULL AND access_key_id NOT LIKE 'STS.%' AND access_key_id NOT LIKE 'TMP.%' GROUP BY account_id, access_key_id
    UNION ALL
    SELECT 3, 'address', account_id, source_ip_address, max(user_name), count(*), min(event_time)
    FROM looked WHERE source_ip_address IS NOT NULL GROUP BY account_id, source_ip_address
    UNION ALL
    SELECT 4, 'call', account_id, coalesce(service_name, '?') || ' ' || event_action, max(user_name), count(*), min(event_time)
    FROM looked WHERE event_action IS NOT NULL GROUP BY account_id, service_name, event_action
)
SELECT kind, account_id, value, operator, events, first_seen FROM kinds WHERE first_seen >= $since
ORDER BY place, first_seen, account_id, value
