-- Changes of what a custom policy allows. More severe where it allows everything, or to grant rights. A new policy gives nobody
-- anything before it is attached.
WITH calls AS (
    SELECT events.*
    FROM events
    WHERE event_action IN ('createpolicy', 'createpolicyversion', 'updatepolicyversion', 'setdefaultpolicyversion', 'deletepolicy', 'deletepolicyversion')
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
        bool_or(any_is(values_at(statement, 'Action'), 're', '(?i)^\s*(ram|ims|resourcemanager|cloudsso):(\*|attach[a-z]*\*?|add\*|addusertogroup|create\*|createpolicyversion|set\*|setdefaultpolicyversion|update\*|updaterole)\s*$')) AS grants_rights
    FROM statements
    WHERE coalesce(lower(trim(param(statement, 'Effect'))), 'allow') = 'allow'
      AND any_is(values_at(statement, 'Resource'), 're', '^\s*(\*+|acs(:\*+)+(/\*+)?|acs:ram:[*:]*)\s*$')
    GROUP BY event_key
),
judged AS (
    SELECT calls.*, coalesce(allows_everything, false) AS allows_everything, coalesce(grants_rights, false) AS grants_rights
    FROM calls
    LEFT JOIN wide ON allowed_by = event_key
)
SELECT
    judged.*,
    CASE
        WHEN allows_everything OR grants_rights THEN 'high'
        WHEN event_action IN ('createpolicy', 'deletepolicy', 'deletepolicyversion') THEN 'low'
        ELSE 'medium'
    END AS severity,
    concat_ws('; ',
        CASE event_action
            WHEN 'createpolicy' THEN 'Created policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
            WHEN 'createpolicyversion' THEN 'Created a new version of policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
            WHEN 'updatepolicyversion' THEN 'Changed a version of policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
            WHEN 'setdefaultpolicyversion' THEN 'Set version ' || coalesce(param(request_parameters, request_parameter_json, 'VersionId'), '?') || ' of policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?') || ' as the one that holds'
            WHEN 'deletepolicy' THEN 'Deleted policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
            ELSE 'Deleted version ' || coalesce(param(request_parameters, request_parameter_json, 'VersionId'), '?') || ' of policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
        END,
        CASE WHEN allows_everything THEN 'The policy allows everything on everything' END,
        CASE WHEN grants_rights THEN 'The policy allows to grant rights' END) AS why,
    concat_ws('; ',
        CASE
            WHEN event_action IN ('createpolicy', 'createpolicyversion', 'updatepolicyversion') AND entries(param(request_parameters, request_parameter_json, 'PolicyDocument'), 'Statement') IS NULL THEN 'What the policy allows'
            WHEN event_action = 'setdefaultpolicyversion' THEN 'What this version of the policy allows'
        END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM judged
