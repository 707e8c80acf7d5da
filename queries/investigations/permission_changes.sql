--! question = { en = "Who was given or denied which rights, and by whom?", zh = "谁给谁增加或收回了哪些权限？" }
--! when = "Rights are not as they were, or an auditor asks how they came about."
--! next = ["principal_timeline: what else the one who changed them did", "resource_changes: all that happened to one policy, user or role"]
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
SELECT event_time, account_id, coalesce(user_name, principal_id) AS operator, user_type, service_name, event_name, outcome, error_code,
       coalesce(param(request_parameters, 'UserName'), param(request_parameters, 'GroupName'), param(request_parameters, 'RoleName'),
                param(request_parameters, 'PrincipalName'), param(request_parameters, 'PrincipalId')) AS whom,
       coalesce(param(request_parameters, 'PolicyName'), param(request_parameters, 'AccessConfigurationId')) AS policy,
       source_ip_address, mfa, mask_key(access_key_id) AS access_key_id, event_id
FROM permission_changes
WHERE event_time >= $since AND event_time < $until AND ($account = '' OR account_id = $account)
ORDER BY event_time, event_id
