-- Administrator rights given: a policy with full rights, or with the right to grant them, attached to a user, group or role, or
-- added to an access configuration of CloudSSO; or a user joined a group of administrators.
WITH calls AS (
    SELECT
        events.*,
        coalesce(account_id, '') AS account,
        -- A role has another principal in every session.
        coalesce(role_name, principal_id, user_name, '') AS who,
        -- Each call and each service has parameters of its own. One of another call means nothing, and a name in the form of the other
        -- service counts only where its own is missing.
        CASE
            WHEN event_action LIKE 'attachpolicy%' THEN param(request_parameters, request_parameter_json, 'PolicyName')
            WHEN event_action = 'addpermissionpolicytoaccessconfiguration' THEN param(request_parameters, request_parameter_json, 'PermissionPolicyName')
        END AS policy,
        -- The resource manager names a user or group with the domain of the account.
        CASE
            WHEN event_action = 'attachpolicy' THEN split_part(param(request_parameters, request_parameter_json, 'PrincipalName'), '@', 1)
            WHEN lower(service_name) = 'ims' THEN coalesce(split_part(param(request_parameters, request_parameter_json, 'UserPrincipalName'), '@', 1), param(request_parameters, request_parameter_json, 'UserName'))
            ELSE coalesce(param(request_parameters, request_parameter_json, 'UserName'), split_part(param(request_parameters, request_parameter_json, 'UserPrincipalName'), '@', 1))
        END AS given_to,
        CASE WHEN event_action = 'attachpolicy' THEN split_part(param(request_parameters, request_parameter_json, 'PrincipalName'), '@', 1) ELSE param(request_parameters, request_parameter_json, 'GroupName') END AS group_name,
        CASE event_action
            WHEN 'attachpolicytouser' THEN 'user'
            WHEN 'attachpolicytogroup' THEN 'group'
            WHEN 'attachpolicytorole' THEN 'role'
            WHEN 'attachpolicy' THEN CASE lower(trim(param(request_parameters, request_parameter_json, 'PrincipalType'))) WHEN 'imsuser' THEN 'user' WHEN 'imsgroup' THEN 'group' WHEN 'servicerole' THEN 'role' END
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
    JOIN calls AS grants ON grants.account = joins.account AND lower(grants.group_name) = lower(joins.group_name)
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
-- Each parameter counts for the call that has it.
statements AS (
    SELECT event_key, unnest(entries(document, 'Statement')) AS statement
    FROM (
        SELECT event_key, unnest(CASE event_action
            WHEN 'updateinlinepolicyforaccessconfiguration' THEN values_at(request_parameters, request_parameter_json, 'NewInlinePolicyDocument')
            WHEN 'addpermissionpolicytoaccessconfiguration' THEN values_at(request_parameters, request_parameter_json, 'InlinePolicyDocument')
        END) AS document
        FROM calls
        WHERE lower(service_name) = 'cloudsso')
),
-- Each statement is judged by itself, as in AT-IAM-002: a narrow one beside it takes nothing away.
allowed AS (
    SELECT
        event_key,
        statement,
        ' (' || replace(replace(replace(regexp_replace(regexp_replace(
            left('<' || regexp_replace(regexp_replace(lower(array_to_string(values_at(statement, 'Action'), '><')), '[^a-z0-9:*?<>-]', '', 'g'), '[*]+', '*', 'g') || '>', 20000),
            '<((ram|ims|resourcemanager|cloudsso|sts|kms|ecs|actiontrail|[^:<>]*[*?][^:<>]*):[^<>]*)>', '|$1', 'g'), '<[^<>]*>?', '', 'g'), '>', ''), '?', '[a-z0-9:]'), '*', '[a-z0-9:]*') || ') ' AS actions,
        any_is(values_at(statement, 'Resource'), 're', '(?i)^\s*(\*+|acs(:\*+)+(/\*+)?|acs:[a-z0-9-]+:[*:]*(/\*+)?|acs:[a-z0-9*-]*:([a-z0-9*-]*\*[a-z0-9*-]*)?:[0-9*]*:(\*+(/\*+)?)?)\s*$') OR values_at(statement, 'NotResource') IS NOT NULL AS is_wide,
        any_is(values_at(statement, 'Resource'), 're', '(?i)^\s*acs:[a-z0-9*-]*:([a-z0-9*-]*\*[a-z0-9*-]*)?:[0-9*]*:[a-z0-9*-]+/\*+\s*$') AS is_a_kind
    FROM statements
    WHERE coalesce(lower(trim(param(statement, 'Effect'))), 'allow') = 'allow'
),
wide AS (
    SELECT
        event_key AS allowed_by,
        bool_or(is_wide AND (any_is(values_at(statement, 'Action'), 're', '^\s*\*+(:\*+)?\s*$') OR values_at(statement, 'NotAction') IS NOT NULL)) AS allows_everything,
        bool_or(regexp_like(
                ' ram:attachpolicytouser ram:attachpolicytogroup ram:attachpolicytorole ram:addusertogroup ram:createaccesskey ram:createloginprofile ram:updateloginprofile'
                || ' ram:createpolicyversion ram:setdefaultpolicyversion ram:updaterole ims:addusertogroup ims:createaccesskey ims:createloginprofile ims:updateloginprofile ims:setuserssosettings'
                || ' resourcemanager:attachpolicy resourcemanager:createpolicyversion resourcemanager:setdefaultpolicyversion resourcemanager:updaterole'
                || ' cloudsso:addpermissionpolicytoaccessconfiguration cloudsso:updateinlinepolicyforaccessconfiguration cloudsso:createaccessassignment cloudsso:addusertogroup'
                || ' cloudsso:resetuserpassword cloudsso:setexternalsamlidentityprovider ',
                actions)) AS grants_rights
    FROM allowed
    WHERE is_wide OR is_a_kind
    GROUP BY event_key
),
judged AS (
    SELECT
        calls.*,
        joined_by IS NOT NULL AS group_has_rights,
        coalesce(allows_everything, false) AS allows_everything,
        coalesce(allows_everything OR grants_rights, false) AS allows_much,
        newcomers.who IS NOT NULL AS is_newcomer,
        event_action = 'addusertogroup' AS joins_group,
        regexp_like(lower(group_name), 'admin|superuser|(^|[^a-z])(root|owners?)([^a-z]|$)') AS group_sounds_so,
        lower(trim(user_type)) = 'ram-user' AND lower(user_name) = lower(given_to) OR disguised_by IS NOT NULL AS joins_itself
    FROM calls
    LEFT JOIN joined ON joined_by = event_key
    LEFT JOIN wide ON allowed_by = event_key
    LEFT JOIN in_disguise ON disguised_by = event_key
    LEFT JOIN newcomers ON newcomers.account = calls.account AND newcomers.who = calls.who AND newcomers.join_day = date_bin(INTERVAL '1 day', calls.event_time)
)
SELECT
    judged.*,
    CASE
        WHEN joins_group AND (group_has_rights OR coalesce(group_sounds_so, false)) THEN 'high'
        WHEN joins_group AND coalesce(joins_itself, false) THEN 'medium'
        WHEN joins_group OR policy IS NULL AND NOT allows_much THEN 'low'
        -- The right to take roles is harmless without a role; a role has its own rule for who may take it.
        WHEN event_action IN ('attachpolicytouser', 'attachpolicytogroup', 'attachpolicy') AND lower(trim(policy)) = 'aliyunstsassumeroleaccess' THEN 'medium'
        WHEN given_kind = 'role' THEN 'medium'
        ELSE 'high'
    END AS severity,
    CASE
        WHEN joins_group AND NOT group_has_rights AND NOT coalesce(group_sounds_so, false) AND NOT coalesce(joins_itself, false) THEN 'group-rights-unknown'
        WHEN NOT joins_group AND policy IS NULL AND NOT allows_much THEN 'policy-unknown'
    END AS variant,
    concat_ws('; ',
        CASE
            WHEN joins_group THEN 'Added user ' || coalesce(given_to, '?') || ' to group ' || coalesce(group_name, '?')
            WHEN lower(service_name) = 'cloudsso' AND allows_everything THEN 'The inline policy of access configuration ' || coalesce(param(request_parameters, request_parameter_json, 'AccessConfigurationId'), '?') || ' allows everything on everything'
            WHEN lower(service_name) = 'cloudsso' AND allows_much THEN 'The inline policy of access configuration ' || coalesce(param(request_parameters, request_parameter_json, 'AccessConfigurationId'), '?') || ' allows to grant rights'
            WHEN lower(service_name) = 'cloudsso' THEN 'Added policy ' || policy || ' to access configuration ' || coalesce(param(request_parameters, request_parameter_json, 'AccessConfigurationId'), '?')
            WHEN given_kind IS NULL THEN 'Attached policy ' || coalesce(policy, '?') || ' to ' || coalesce(given_to, '?')
            ELSE 'Attached policy ' || coalesce(policy, '?') || ' to ' || given_kind || ' ' || coalesce(CASE WHEN given_kind = 'group' THEN group_name WHEN event_action = 'attachpolicytorole' THEN param(request_parameters, request_parameter_json, 'RoleName') END, given_to, '?')
        END,
        CASE WHEN event_action LIKE 'attachpolicy%' THEN 'The policy holds in resource group ' || param(request_parameters, request_parameter_json, 'ResourceGroupId') || ' alone' END,
        CASE WHEN joins_itself AND joins_group THEN 'The user added itself' END,
        CASE WHEN joins_group AND is_newcomer THEN 'The principal added nobody to a group for 30 days' END,
        CASE WHEN group_has_rights THEN 'The group was given administrator rights within the 90 days before' END,
        CASE WHEN joins_group AND group_sounds_so THEN 'The name of the group is one of administrators' END) AS why,
    concat_ws('; ',
        CASE WHEN joins_group AND NOT group_has_rights THEN 'What the group may do' END,
        CASE WHEN NOT joins_group AND policy IS NULL AND NOT allows_much THEN 'Which policy was attached' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM judged
WHERE joins_group AND (group_has_rights OR coalesce(group_sounds_so, false) OR coalesce(joins_itself, false) OR is_newcomer OR group_name IS NULL)
   OR event_action IN ('attachpolicytouser', 'attachpolicytogroup', 'attachpolicytorole', 'attachpolicy')
   OR allows_much
   OR event_action = 'addpermissionpolicytoaccessconfiguration' AND any_is(values_at(request_parameters, request_parameter_json, 'PermissionPolicyName'), 're', '(?i)^\s*(administratoraccess|aliyunramfullaccess|aliyunstsassumeroleaccess|aliyuncloudssofullaccess|aliyunresourcedirectoryfullaccess)\s*$')
