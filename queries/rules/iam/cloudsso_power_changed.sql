-- Access through CloudSSO given or widened, or a password or status of its users changed. What makes an administrator is AT-IAM-001.
WITH calls AS (
    SELECT
        events.*,
        param(request_parameters, request_parameter_json, 'AccessConfigurationId') AS configuration,
        CASE WHEN event_action IN ('createaccessassignment', 'createuserprovisioning') THEN param(request_parameters, request_parameter_json, 'PrincipalId') WHEN event_action IN ('resetuserpassword', 'updateuserstatus', 'addusertogroup') THEN param(request_parameters, request_parameter_json, 'UserId') END AS given_to
    FROM events
    WHERE event_action IN ('createaccessassignment', 'resetuserpassword', 'updateuserstatus', 'addusertogroup', 'addpermissionpolicytoaccessconfiguration', 'updateinlinepolicyforaccessconfiguration', 'provisionaccessconfiguration', 'createuserprovisioning')
      AND lower(service_name) = 'cloudsso'
      AND outcome = 'success'
      -- Each parameter counts for the call that has it.
      AND NOT coalesce(event_action = 'updateuserstatus' AND lower(trim(param(request_parameters, request_parameter_json, 'NewStatus'))) = 'disabled', false)
      AND NOT coalesce(event_action = 'addpermissionpolicytoaccessconfiguration' AND any_is(values_at(request_parameters, request_parameter_json, 'PermissionPolicyName'), 're', '(?i)^\s*(administratoraccess|aliyunramfullaccess|aliyunstsassumeroleaccess|aliyuncloudssofullaccess|aliyunresourcedirectoryfullaccess)\s*$'), false)
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
)
SELECT
    calls.*,
    CASE WHEN event_action = 'provisionaccessconfiguration' THEN 'low' END AS severity,
    CASE event_action
        WHEN 'createaccessassignment' THEN 'Gave ' || coalesce(given_to, '?') || ' the access configuration ' || coalesce(configuration, '?') || ' in account ' || coalesce(param(request_parameters, request_parameter_json, 'TargetId'), '?')
        WHEN 'resetuserpassword' THEN 'Set a new password for user ' || coalesce(given_to, '?')
        WHEN 'updateuserstatus' THEN 'Changed the status of user ' || coalesce(given_to, '?') || ' to ' || coalesce(param(request_parameters, request_parameter_json, 'NewStatus'), '?')
        WHEN 'addusertogroup' THEN 'Added user ' || coalesce(given_to, '?') || ' to group ' || coalesce(param(request_parameters, request_parameter_json, 'GroupId'), '?')
        WHEN 'addpermissionpolicytoaccessconfiguration' THEN 'Added policy ' || coalesce(param(request_parameters, request_parameter_json, 'PermissionPolicyName'), '?') || ' to access configuration ' || coalesce(configuration, '?')
        WHEN 'updateinlinepolicyforaccessconfiguration' THEN 'Changed the inline policy of access configuration ' || coalesce(configuration, '?')
        WHEN 'provisionaccessconfiguration' THEN 'Rolled out access configuration ' || coalesce(configuration, '?') || ' to account ' || coalesce(param(request_parameters, request_parameter_json, 'TargetId'), '?')
        ELSE 'Set up user ' || coalesce(given_to, '?') || ' as a RAM user in account ' || coalesce(param(request_parameters, request_parameter_json, 'TargetId'), '?')
    END AS why,
    concat_ws('; ',
        CASE
            WHEN event_action = 'addusertogroup' THEN 'What the group may do'
            WHEN event_action IN ('createaccessassignment', 'provisionaccessconfiguration') THEN 'What the access configuration allows'
        END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM calls
WHERE NOT EXISTS (SELECT 1 FROM wide WHERE allowed_by = calls.event_key AND (allows_everything OR grants_rights))
