--! question = { en = "What happened around this finding?", zh = "这条发现前后发生了什么？" }
--! when = "A finding has come in: what its principal, key and address did before and after."
--! next = ["principal_timeline: more of the principal", "address: more of the address", "`trailhound rules explain RULE EVENT`: why it is a finding"]
--! [parameters.finding]
--! meaning = "Id of the finding."
--! [parameters.minutes]
--! kind = "number"
--! default = "60"
--! meaning = "How many minutes before its first and after its last event."
WITH finding AS (
    SELECT account_id AS its_account, principal_id AS its_principal, access_key_id AS its_key, client_ip AS its_ip, event_ids AS its_events,
           first_seen - CAST($minutes || ' minutes' AS INTERVAL) AS begins, last_seen + CAST($minutes || ' minutes' AS INTERVAL) AS ends
    FROM findings WHERE finding_id = $finding
)
SELECT event_time,
       CASE WHEN array_has(its_events, event_id) THEN 'finding' WHEN principal_id = its_principal THEN 'same principal'
            WHEN mask_key(access_key_id) = its_key THEN 'same key' ELSE 'same address' END AS relation,
       events.account_id, acs_region, service_name, event_name, outcome, error_code, coalesce(user_name, events.principal_id) AS operator,
       source_ip_address, mask_key(access_key_id) AS access_key_id, resource_name, user_agent, event_id
FROM events
JOIN finding ON event_time BETWEEN begins AND ends
WHERE array_has(its_events, event_id) OR events.principal_id = its_principal OR mask_key(access_key_id) = its_key OR client_ip = its_ip
ORDER BY event_time, event_id
