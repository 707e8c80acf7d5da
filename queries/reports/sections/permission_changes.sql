--! title = { en = "Changes of permissions", zh = "权限变更" }
--! about = { en = "Users, groups, roles, policies, keys and second factors made, changed or taken away, tried ones too.", zh = "用户、用户组、角色、策略、密钥和多因素认证的创建、修改与删除，包括未成功的尝试。" }
--! empty = { en = "No permission was changed.", zh = "没有权限变更。" }
SELECT event_time, account_id, coalesce(user_name, principal_id) AS operator, user_type, service_name, event_name, outcome,
       coalesce(param(request_parameters, 'UserName'), param(request_parameters, 'GroupName'), param(request_parameters, 'RoleName'),
                param(request_parameters, 'PrincipalName'), param(request_parameters, 'PrincipalId')) AS whom,
       coalesce(param(request_parameters, 'PolicyName'), param(request_parameters, 'AccessConfigurationId')) AS policy,
       source_ip_address, event_id
FROM permission_changes
WHERE event_time >= $since AND event_time < $until
ORDER BY event_time, event_id
