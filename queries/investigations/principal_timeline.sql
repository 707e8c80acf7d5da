--! question = { en = "What did this principal do, one by one?", zh = "这个身份依次做了什么？" }
--! when = "A principal is under suspicion, or was found by another investigation."
--! next = ["principal_summary: the same by service, region, address and agent", "access_key: where a key of theirs was used", "resource_changes: what else happened to what they changed"]
--! [parameters.principal]
--! meaning = "Principal id, user name, or role name."
--! [parameters.since]
--! kind = "time"
--! default = "-1d"
--! meaning = "From when on."
--! [parameters.until]
--! kind = "time"
--! default = "now"
--! meaning = "Until when, this moment not included."
--! [parameters.account]
--! default = ""
--! meaning = "Only in this account, where several have the name."
SELECT event_time, account_id, acs_region, service_name, event_name, event_rw, outcome, error_code, resource_type, resource_name,
       source_ip_address, mask_key(access_key_id) AS access_key_id, credential_kind, mfa, user_agent, event_id
FROM events
WHERE (principal_id = $principal OR user_name = $principal OR role_name = $principal)
  AND ($account = '' OR account_id = $account)
  AND event_time >= $since AND event_time < $until
ORDER BY event_time, event_id
