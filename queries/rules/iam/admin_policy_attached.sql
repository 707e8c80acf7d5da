-- Administrator rights given: a policy with full rights, or with the right to grant them, attached to a user, group or role, or
-- added to an access configuration of CloudSSO; or a user joined a group of administrators.
WITH calls AS (
    SELECT
        events.*,
        coalesce(account_id, '') AS account,
        -- A role has another principal in every session.
        coalesce(role_name, principal_id, user_name, '') AS who,
        coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), param(request_parameters, request_parameter_json, 'PermissionPolicyName')) AS policy,
        -- The resource manager names a user or group with the domain of the account.
        coalesce(param(request_parameters, request_parameter_json, 'UserName'), split_part(param(request_parameters, request_parameter_json, 'UserPrincipalName'), '@', 1), split_part(param(request_parameters, request_parameter_json, 'PrincipalName'), '@', 1)) AS given_to,
        lower(coalesce(param(request_parameters, request_parameter_json, 'GroupName'), split_part(param(request_parameters, request_parameter_json, 'PrincipalName'), '@', 1))) AS given_group,
        CASE
            WHEN event_action = 'attachpolicytouser' OR lower(param(request_parameters, request_parameter_json, 'PrincipalType')) = 'imsuser' THEN 'user'
            WHEN event_action = 'attachpolicytogroup' OR lower(param(request_parameters, request_parameter_json, 'PrincipalType')) = 'imsgroup' THEN 'group'
            WHEN event_action = 'attachpolicytorole' OR lower(param(request_parameters, request_parameter_json, 'PrincipalType')) = 'servicerole' THEN 'role'
        END AS given_kind
    FROM events
    WHERE outcome = 'success'
      AND (event_action IN ('attachpolicytouser', 'attachpolicytogroup', 'attachpolicytorole', 'attachpolicy')
           AND lower(service_name) IN ('ram', 'ims', 'resourcemanager')
           AND any_is(values_at(request_parameters, request_parameter_json, 'PolicyName'), 're', '(?i)^\s*(administratoraccess|aliyunramfullaccess|aliyunstsassumeroleaccess|aliyuncloudssofullaccess|aliyunresourcedirectoryfullaccess)\s*$') IS NOT FALSE
        OR event_action = 'addusertogroup' AND lower(service_name) IN ('ram', 'ims', 'resourcemanager')
        OR event_action IN ('addpermissionpolicytoaccessconfiguration', 'updateinlinepolicyforaccessconfiguration') AND lower(service_name) = 'cloudsso')
),
-- A group that was given such rights while Trailhound looked on.
joined AS (
    SELECT DISTINCT joins.event_key AS joined_by
    FROM calls AS joins
    JOIN calls AS grants ON grants.account = joins.account AND grants.given_group = joins.given_group
    WHERE joins.event_action = 'addusertogroup' AND grants.given_kind = 'group' AND grants.policy IS NOT NULL
      AND joins.event_time BETWEEN grants.event_time AND grants.event_time + INTERVAL '90 days'
),
-- Programs and help desks put people into groups every day. Who never did it, in an account where others did before, is strange.
-- Only the first of a day can be new.
days AS (
    SELECT account, who, date_bin(INTERVAL '1 day', event_time) AS join_day, min(event_time) AS first_time, max(event_time) AS last_time
    FROM calls
    WHERE event_action = 'addusertogroup' AND event_time IS NOT NULL
    GROUP BY account, who, date_bin(INTERVAL '1 day', event_time)
),
newcomers AS (
    SELECT DISTINCT fresh.account, fresh.who, fresh.join_day
    FROM (SELECT *, lag(last_time) OVER (PARTITION BY account, who ORDER BY join_day) AS did_before FROM days) AS fresh
    JOIN days ON days.account = fresh.account
    WHERE (fresh.did_before IS NULL OR fresh.did_before < fresh.first_time - INTERVAL '30 days')
      AND days.first_time < fresh.first_time - INTERVAL '7 days' AND days.last_time >= fresh.first_time - INTERVAL '60 days'
),
-- Who took a role within the hour before and adds itself with it adds itself.
taken AS (
    SELECT
        coalesce(account_id, '') AS account,
        lower(user_name) AS taker,
        lower(split_part(param(request_parameters, request_parameter_json, 'RoleArn'), '/', 2)) AS role_taken,
        event_time AS taken_at
    FROM events
    WHERE event_action = 'assumerole' AND lower(service_name) = 'sts' AND outcome = 'success' AND lower(trim(user_type)) = 'ram-user'
),
in_disguise AS (
    SELECT DISTINCT calls.event_key AS disguised_by
    FROM calls
    JOIN taken ON taken.account = calls.account AND taken.role_taken = lower(calls.role_name) AND taken.taker = lower(calls.given_to)
    WHERE calls.event_action = 'addusertogroup' AND taken.taken_at BETWEEN calls.event_time - INTERVAL '1 hour' AND calls.event_time
),
statements AS (
    SELECT event_key, unnest(entries(coalesce(param(request_parameters, request_parameter_json, 'NewInlinePolicyDocument'), param(request_parameters, request_parameter_json, 'InlinePolicyDocument')), 'Statement')) AS statement
    FROM calls
    WHERE lower(service_name) = 'cloudsso'
),
-- Each statement is judged by itself: a narrow one beside it takes nothing away.
boundless AS (
    SELECT DISTINCT event_key AS allowed_by
    FROM statements
    WHERE coalesce(lower(trim(param(statement, 'Effect'))), 'allow') = 'allow'
      AND (any_is(values_at(statement, 'Action'), 're', '^\s*\*+(:\*+)?\s*$') OR values_at(statement, 'NotAction') IS NOT NULL)
      AND any_is(values_at(statement, 'Resource'), 're', '^\s*(\*+|acs(:\*+)+(/\*+)?)\s*$')
),
judged AS (
    SELECT
        calls.*,
        joined_by IS NOT NULL AS group_has_rights,
        allowed_by IS NOT NULL AS allows_everything,
        newcomers.who IS NOT NULL AS is_newcomer,
        event_action = 'addusertogroup' AS joins_group,
        regexp_like(given_group, 'admin|superuser|(^|[^a-z])(root|owners?)([^a-z]|$)') AS group_sounds_so,
        lower(trim(user_type)) = 'ram-user' AND lower(user_name) = lower(given_to) OR disguised_by IS NOT NULL AS joins_itself
    FROM calls
    LEFT JOIN joined ON joined_by = event_key
    LEFT JOIN boundless ON allowed_by = event_key
    LEFT JOIN in_disguise ON disguised_by = event_key
    LEFT JOIN newcomers ON newcomers.account = calls.account AND newcomers.who = calls.who AND newcomers.join_day = date_bin(INTERVAL '1 day', calls.event_time)
)
SELECT
    judged.*,
    CASE
        WHEN joins_group AND (group_has_rights OR coalesce(group_sounds_so, false)) THEN 'high'
        WHEN joins_group AND coalesce(joins_itself, false) THEN 'medium'
        WHEN joins_group OR policy IS NULL AND NOT allows_everything THEN 'low'
        -- The right to take roles is harmless without a role; a role has its own rule for who may take it.
        WHEN event_action IN ('attachpolicytouser', 'attachpolicytogroup', 'attachpolicy') AND lower(trim(policy)) = 'aliyunstsassumeroleaccess' THEN 'medium'
        WHEN given_kind = 'role' THEN 'medium'
        ELSE 'high'
    END AS severity,
    CASE
        WHEN joins_group AND NOT group_has_rights AND NOT coalesce(group_sounds_so, false) AND NOT coalesce(joins_itself, false) THEN 'group-rights-unknown'
        WHEN NOT joins_group AND policy IS NULL AND NOT allows_everything THEN 'policy-unknown'
    END AS variant,
    concat_ws('; ',
        CASE
            WHEN joins_group THEN 'Added user ' || coalesce(given_to, '?') || ' to group ' || coalesce(param(request_parameters, request_parameter_json, 'GroupName'), '?')
            WHEN lower(service_name) = 'cloudsso' AND allows_everything THEN 'The inline policy of access configuration ' || coalesce(param(request_parameters, request_parameter_json, 'AccessConfigurationId'), '?') || ' allows everything on everything'
            WHEN lower(service_name) = 'cloudsso' THEN 'Added policy ' || policy || ' to access configuration ' || coalesce(param(request_parameters, request_parameter_json, 'AccessConfigurationId'), '?')
            WHEN given_kind IS NULL THEN 'Attached policy ' || coalesce(policy, '?') || ' to ' || coalesce(given_to, '?')
            ELSE 'Attached policy ' || coalesce(policy, '?') || ' to ' || given_kind || ' ' || coalesce(CASE given_kind WHEN 'group' THEN param(request_parameters, request_parameter_json, 'GroupName') WHEN 'role' THEN param(request_parameters, request_parameter_json, 'RoleName') END, given_to, '?')
        END,
        CASE WHEN NOT joins_group THEN 'The policy holds in resource group ' || param(request_parameters, request_parameter_json, 'ResourceGroupId') || ' alone' END,
        CASE WHEN joins_itself AND joins_group THEN 'The user added itself' END,
        CASE WHEN joins_group AND is_newcomer THEN 'The principal added nobody to a group for 30 days' END,
        CASE WHEN group_has_rights THEN 'The group was given administrator rights within the 90 days before' END,
        CASE WHEN joins_group AND group_sounds_so THEN 'The name of the group is one of administrators' END) AS why,
    concat_ws('; ',
        CASE WHEN joins_group AND NOT group_has_rights THEN 'What the group may do' END,
        CASE WHEN NOT joins_group AND policy IS NULL AND NOT allows_everything THEN 'Which policy was attached' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM judged
WHERE joins_group AND (group_has_rights OR coalesce(group_sounds_so, false) OR coalesce(joins_itself, false) OR is_newcomer OR given_group IS NULL)
   OR event_action IN ('attachpolicytouser', 'attachpolicytogroup', 'attachpolicytorole', 'attachpolicy')
   OR allows_everything
   OR any_is(values_at(request_parameters, request_parameter_json, 'PermissionPolicyName'), 're', '(?i)^\s*(administratoraccess|aliyunramfullaccess|aliyunstsassumeroleaccess|aliyuncloudssofullaccess|aliyunresourcedirectoryfullaccess)\s*$')
