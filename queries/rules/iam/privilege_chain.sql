-- A user was given administrator rights and a new key or password, in any order: within half an hour, or within a day, which is less
-- certain where two principals did it. The rights can come from a policy of the user, or from a group that the user joins. An access
-- configuration of CloudSSO is as a group, and its assignment as joining it.
WITH calls AS (
    SELECT
        events.*,
        coalesce(account_id, '') AS account,
        -- A role has another principal in every session.
        coalesce(role_name, principal_id) AS giver,
        CASE
            WHEN event_action IN ('addusertogroup', 'createaccessassignment') THEN 'join'
            WHEN event_action IN ('attachpolicytogroup', 'addpermissionpolicytoaccessconfiguration') OR event_action = 'attachpolicy' AND lower(param(request_parameters, request_parameter_json, 'PrincipalType')) = 'imsgroup' THEN 'group grant'
            WHEN event_action IN ('attachpolicytouser', 'attachpolicy') THEN 'grant'
            ELSE 'way in'
        END AS step,
        -- Each call and each service has a parameter of its own for the user. One of another service means nothing for a key, which can
        -- be made for nobody in particular and is then the caller's own; elsewhere it counts only where its own is missing.
        lower(CASE
            WHEN event_action = 'attachpolicy' THEN split_part(param(request_parameters, request_parameter_json, 'PrincipalName'), '@', 1)
            WHEN event_action IN ('createaccesskey', 'updateaccesskey') THEN coalesce(
                CASE WHEN lower(service_name) = 'ims' THEN split_part(param(request_parameters, request_parameter_json, 'UserPrincipalName'), '@', 1) ELSE param(request_parameters, request_parameter_json, 'UserName') END,
                CASE WHEN lower(trim(user_type)) = 'ram-user' THEN user_name END)
            WHEN event_action IN ('attachpolicytogroup', 'addpermissionpolicytoaccessconfiguration') THEN NULL
            WHEN event_action = 'createaccessassignment' THEN param(request_parameters, request_parameter_json, 'PrincipalId')
            WHEN event_action = 'resetuserpassword' THEN param(request_parameters, request_parameter_json, 'UserId')
            WHEN lower(service_name) = 'ims' THEN coalesce(split_part(param(request_parameters, request_parameter_json, 'UserPrincipalName'), '@', 1), param(request_parameters, request_parameter_json, 'UserName'))
            ELSE coalesce(param(request_parameters, request_parameter_json, 'UserName'), split_part(param(request_parameters, request_parameter_json, 'UserPrincipalName'), '@', 1))
        END) AS target,
        CASE WHEN event_action = 'attachpolicy' THEN split_part(param(request_parameters, request_parameter_json, 'PrincipalName'), '@', 1) WHEN lower(service_name) = 'cloudsso' THEN param(request_parameters, request_parameter_json, 'AccessConfigurationId') ELSE param(request_parameters, request_parameter_json, 'GroupName') END AS group_called,
        lower(CASE WHEN event_action = 'attachpolicy' THEN split_part(param(request_parameters, request_parameter_json, 'PrincipalName'), '@', 1) WHEN lower(service_name) = 'cloudsso' THEN param(request_parameters, request_parameter_json, 'AccessConfigurationId') ELSE param(request_parameters, request_parameter_json, 'GroupName') END) AS group_name
    FROM events
    WHERE event_time IS NOT NULL
      AND outcome = 'success'
      AND (lower(service_name) IN ('ram', 'ims', 'resourcemanager')
           AND (event_action IN ('createaccesskey', 'createloginprofile', 'addusertogroup')
             OR event_action = 'updateloginprofile' AND (values_at(request_parameters, request_parameter_json, 'Password') IS NOT NULL OR any_is(values_at(request_parameters, request_parameter_json, 'Status'), 'equals', 'active'))
             OR event_action = 'updateaccesskey' AND any_is(values_at(request_parameters, request_parameter_json, 'Status'), 'equals', 'active')
             OR event_action IN ('attachpolicytouser', 'attachpolicytogroup', 'attachpolicy') AND any_is(values_at(request_parameters, request_parameter_json, 'PolicyName'), 're', '(?i)^\s*(administratoraccess|aliyunramfullaccess|aliyunstsassumeroleaccess|aliyuncloudssofullaccess|aliyunresourcedirectoryfullaccess)\s*$'))
        OR lower(service_name) = 'cloudsso'
           AND (event_action IN ('resetuserpassword', 'createaccessassignment')
             OR event_action = 'addpermissionpolicytoaccessconfiguration' AND any_is(values_at(request_parameters, request_parameter_json, 'PermissionPolicyName'), 're', '(?i)^\s*(administratoraccess|aliyunramfullaccess|aliyunstsassumeroleaccess|aliyuncloudssofullaccess|aliyunresourcedirectoryfullaccess)\s*$')))
),
-- When a user came to have the rights, and by which call. A user who joins a group has them once the group has them.
rights AS (
    SELECT account, giver, target AS whom, event_time AS given, event_key AS given_by
    FROM calls
    WHERE coalesce(target, '') <> ''
      AND (step = 'grant' OR step = 'join' AND regexp_like(group_name, 'admin|superuser|(^|[^a-z])(root|owners?)([^a-z]|$)'))
    UNION ALL
    SELECT
        joins.account,
        joins.giver,
        joins.target,
        greatest(joins.event_time, grants.event_time),
        CASE WHEN grants.event_time > joins.event_time THEN grants.event_key ELSE joins.event_key END
    FROM calls AS joins
    JOIN calls AS grants ON grants.account = joins.account AND grants.group_name = joins.group_name
    WHERE joins.step = 'join' AND grants.step = 'group grant' AND coalesce(joins.target, '') <> ''
      AND joins.event_time BETWEEN grants.event_time - INTERVAL '1 day' AND grants.event_time + INTERVAL '1 day'
),
-- Joined from the rights, which are few, to the calls: there can be thousands of new keys. The later of the two calls completes it.
completed AS (
    SELECT DISTINCT
        CASE WHEN calls.event_time >= rights.given THEN calls.event_key ELSE rights.given_by END AS completed_by,
        rights.whom,
        calls.event_time BETWEEN rights.given - INTERVAL '30 minutes' AND rights.given + INTERVAL '30 minutes'
            OR coalesce(calls.giver = rights.giver, false) AS is_certain
    FROM rights
    JOIN calls ON calls.target = rights.whom AND calls.account = rights.account
    WHERE calls.step = 'way in'
      AND calls.event_time BETWEEN rights.given - INTERVAL '1 day' AND rights.given + INTERVAL '1 day'
),
surest AS (
    SELECT completed_by, whom, bool_or(is_certain) AS is_certain FROM completed GROUP BY completed_by, whom
)
SELECT
    calls.*,
    surest.whom,
    -- One can hide behind two: a key and the session of a role that it took.
    CASE WHEN NOT surest.is_certain THEN 'medium' END AS severity,
    CASE WHEN NOT surest.is_certain THEN 'two-hands' END AS variant,
    concat_ws('; ',
        CASE
            WHEN step = 'way in' THEN 'User ' || whom || ' got a new key or password after administrator rights'
            ELSE 'User ' || whom || ' got administrator rights after a new key or password'
        END,
        CASE event_action
            WHEN 'createaccesskey' THEN 'Created AccessKey for user ' || whom
            WHEN 'updateaccesskey' THEN 'Switched on an AccessKey of user ' || whom
            WHEN 'createloginprofile' THEN 'Gave user ' || whom || ' a console password'
            WHEN 'updateloginprofile' THEN 'Changed how user ' || whom || ' signs in to the console'
            WHEN 'resetuserpassword' THEN 'Set a new password for user ' || whom
            WHEN 'createaccessassignment' THEN 'Gave ' || whom || ' the access configuration ' || coalesce(group_called, '?') || ' in account ' || coalesce(param(request_parameters, request_parameter_json, 'TargetId'), '?')
            WHEN 'addpermissionpolicytoaccessconfiguration' THEN 'Added policy ' || coalesce(param(request_parameters, request_parameter_json, 'PermissionPolicyName'), '?') || ' to access configuration ' || coalesce(group_called, '?')
            WHEN 'addusertogroup' THEN 'Added user ' || whom || ' to group ' || coalesce(group_called, '?')
            ELSE 'Attached policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?') || CASE WHEN step = 'group grant' THEN ' to group ' || coalesce(group_called, '?') ELSE ' to user ' || whom END
        END) AS why,
    concat_ws('; ',
        CASE WHEN NOT surest.is_certain THEN 'Whether one person did both' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM surest
JOIN calls ON calls.event_key = surest.completed_by
