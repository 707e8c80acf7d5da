-- A custom policy that was made or changed allows everything, to grant rights, or all of a service; or it is not known what it allows.
-- Every other change of policies is AT-IAM-011.
WITH calls AS (
    SELECT events.*
    FROM events
    WHERE event_action IN ('createpolicy', 'createpolicyversion', 'updatepolicyversion', 'setdefaultpolicyversion')
      AND lower(service_name) IN ('ram', 'ims', 'resourcemanager')
      AND outcome = 'success'
),
statements AS (
    SELECT event_key, unnest(entries(document, 'Statement')) AS statement
    FROM (SELECT event_key, unnest(values_at(request_parameters, request_parameter_json, 'PolicyDocument')) AS document FROM calls)
),
-- Each statement is judged by itself: a narrow one beside it takes nothing away.
allowed AS (
    SELECT
        event_key,
        statement,
        -- What its actions stand for, wildcards and all. Those of services that are not asked for cost nothing.
        ' (' || replace(replace(replace(regexp_replace(regexp_replace(
            left('<' || regexp_replace(regexp_replace(lower(array_to_string(values_at(statement, 'Action'), '><')), '[^a-z0-9:*?<>-]', '', 'g'), '[*]+', '*', 'g') || '>', 20000),
            '<((ram|ims|resourcemanager|cloudsso|sts|kms|ecs|actiontrail|[^:<>]*[*?][^:<>]*):[^<>]*)>', '|$1', 'g'), '<[^<>]*>?', '', 'g'), '>', ''), '?', '[a-z0-9:]'), '*', '[a-z0-9:]*') || ') ' AS actions,
        any_is(values_at(statement, 'Resource'), 're', '(?i)^\s*(\*+|acs(:\*+)+(/\*+)?|acs:[a-z0-9-]+:[*:]*(/\*+)?|acs:[a-z0-9*-]*:([a-z0-9*-]*\*[a-z0-9*-]*)?:[0-9*]*:(\*+(/\*+)?)?)\s*$') OR values_at(statement, 'NotResource') IS NOT NULL AS is_wide,
        -- All users, all roles.
        any_is(values_at(statement, 'Resource'), 're', '(?i)^\s*acs:[a-z0-9*-]*:([a-z0-9*-]*\*[a-z0-9*-]*)?:[0-9*]*:[a-z0-9*-]+/\*+\s*$') AS is_a_kind
    FROM statements
    WHERE coalesce(lower(trim(param(statement, 'Effect'))), 'allow') = 'allow'
),
wide AS (
    SELECT
        event_key AS allowed_by,
        bool_or(is_wide AND (any_is(values_at(statement, 'Action'), 're', '^\s*\*+(:\*+)?\s*$') OR values_at(statement, 'NotAction') IS NOT NULL)) AS allows_everything,
        -- Rights for others, or their credentials.
        bool_or(regexp_like(
                ' ram:attachpolicytouser ram:attachpolicytogroup ram:attachpolicytorole ram:addusertogroup ram:createaccesskey ram:createloginprofile ram:updateloginprofile'
                || ' ram:createpolicyversion ram:setdefaultpolicyversion ram:updaterole ims:addusertogroup ims:createaccesskey ims:createloginprofile ims:updateloginprofile ims:setuserssosettings'
                || ' resourcemanager:attachpolicy resourcemanager:createpolicyversion resourcemanager:setdefaultpolicyversion resourcemanager:updaterole'
                || ' cloudsso:addpermissionpolicytoaccessconfiguration cloudsso:updateinlinepolicyforaccessconfiguration cloudsso:createaccessassignment cloudsso:addusertogroup'
                || ' cloudsso:resetuserpassword cloudsso:setexternalsamlidentityprovider ',
                actions)) AS grants_rights,
        bool_or(is_wide AND (any_is(values_at(statement, 'Action'), 're', '(?i)^\s*([a-z0-9*?-]+:\*+|actiontrail:(stop|delete|update)[a-z]*\*?)\s*$')
            OR regexp_like(
                ' sts:assumerole ram:assumerole ram:passrole kms:decrypt kms:getsecretvalue ecs:runcommand ecs:invokecommand ecs:attachinstanceramrole actiontrail:stoplogging actiontrail:deletetrail actiontrail:updatetrail ',
                actions))) AS allows_much
    FROM allowed
    WHERE is_wide OR is_a_kind
    GROUP BY event_key
),
judged AS (
    SELECT
        calls.*,
        coalesce(allows_everything, false) AS allows_everything,
        coalesce(grants_rights, false) AS grants_rights,
        coalesce(allows_much, false) AS allows_much,
        event_action = 'setdefaultpolicyversion' OR read_by IS NULL AS content_unknown
    FROM calls
    LEFT JOIN (SELECT DISTINCT event_key AS read_by FROM statements) ON read_by = event_key
    LEFT JOIN wide ON allowed_by = event_key
)
SELECT
    judged.*,
    CASE WHEN allows_everything OR grants_rights THEN 'high' END AS severity,
    CASE WHEN content_unknown THEN 'content-unknown' END AS variant,
    concat_ws('; ',
        CASE event_action
            WHEN 'createpolicy' THEN 'Created policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
            WHEN 'createpolicyversion' THEN 'Created a new version of policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
            WHEN 'updatepolicyversion' THEN 'Changed a version of policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
            ELSE 'Set version ' || coalesce(param(request_parameters, request_parameter_json, 'VersionId'), '?') || ' of policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?') || ' as the one that holds'
        END,
        CASE WHEN allows_everything THEN 'The policy allows everything on everything' END,
        CASE WHEN grants_rights AND NOT allows_everything THEN 'The policy allows to grant rights' END,
        CASE WHEN allows_much AND NOT allows_everything THEN 'The policy allows all of a service, or what gives access to secrets, roles or instances, on everything' END) AS why,
    concat_ws('; ',
        CASE WHEN event_action = 'setdefaultpolicyversion' THEN 'What this version of the policy allows' WHEN content_unknown THEN 'What the policy allows' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM judged
WHERE allows_everything OR grants_rights OR allows_much OR content_unknown
