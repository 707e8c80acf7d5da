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
wide AS (
    SELECT
        event_key AS allowed_by,
        bool_or(any_is(values_at(statement, 'Action'), 're', '^\s*\*+(:\*+)?\s*$') OR values_at(statement, 'NotAction') IS NOT NULL) AS allows_everything,
        bool_or(any_is(values_at(statement, 'Action'), 're', '(?i)^\s*(ram|ims|resourcemanager|cloudsso):(\*|attach[a-z]*\*?|add\*|addusertogroup|create\*|createpolicyversion|set\*|setdefaultpolicyversion|update\*|updaterole)\s*$')) AS grants_rights,
        bool_or(any_is(values_at(statement, 'Action'), 're', '(?i)^\s*([a-z0-9-]+:\*+|(sts|ram):(assumerole|passrole)|kms:(decrypt|getsecretvalue)|ecs:(runcommand|invokecommand|attachinstanceramrole)|actiontrail:(stop|delete|update)[a-z]*\*?)\s*$')) AS allows_much
    FROM statements
    WHERE coalesce(lower(trim(param(statement, 'Effect'))), 'allow') = 'allow'
      AND any_is(values_at(statement, 'Resource'), 're', '^\s*(\*+|acs(:\*+)+(/\*+)?|acs:[a-z0-9-]+:[*:]*(/\*+)?)\s*$')
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
        CASE WHEN grants_rights THEN 'The policy allows to grant rights' END,
        CASE WHEN allows_much AND NOT allows_everything THEN 'The policy allows all of a service, or what gives access to secrets, roles or instances, on everything' END) AS why,
    concat_ws('; ',
        CASE WHEN event_action = 'setdefaultpolicyversion' THEN 'What this version of the policy allows' WHEN content_unknown THEN 'What the policy allows' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM judged
WHERE allows_everything OR grants_rights OR allows_much OR content_unknown
