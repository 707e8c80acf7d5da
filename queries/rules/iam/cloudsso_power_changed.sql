-- Access through CloudSSO given or widened, or a password or status of its users changed. What makes an administrator is AT-IAM-001.
WITH calls AS (
    SELECT
        events.*,
        param(request_parameters, request_parameter_json, 'AccessConfigurationId') AS configuration,
        coalesce(param(request_parameters, request_parameter_json, 'UserId'), param(request_parameters, request_parameter_json, 'PrincipalId')) AS given_to
    FROM events
    WHERE event_action IN ('createaccessassignment', 'resetuserpassword', 'updateuserstatus', 'addusertogroup', 'addpermissionpolicytoaccessconfiguration', 'updateinlinepolicyforaccessconfiguration', 'provisionaccessconfiguration', 'createuserprovisioning')
      AND lower(service_name) = 'cloudsso'
      AND outcome = 'success'
      AND coalesce(lower(trim(param(request_parameters, request_parameter_json, 'NewStatus'))), '') <> 'disabled'
      AND any_is(values_at(request_parameters, request_parameter_json, 'PermissionPolicyName'), 're', '(?i)^\s*(administratoraccess|aliyunramfullaccess|aliyunstsassumeroleaccess|aliyuncloudssofullaccess|aliyunresourcedirectoryfullaccess)\s*$') IS NOT TRUE
),
statements AS (
    SELECT event_key, unnest(entries(coalesce(param(request_parameters, request_parameter_json, 'NewInlinePolicyDocument'), param(request_parameters, request_parameter_json, 'InlinePolicyDocument')), 'Statement')) AS statement
    FROM calls
),
boundless AS (
    SELECT DISTINCT event_key AS allowed_by
    FROM statements
    WHERE coalesce(lower(trim(param(statement, 'Effect'))), 'allow') = 'allow'
      AND (any_is(values_at(statement, 'Action'), 're', '^\s*\*+(:\*+)?\s*$') OR values_at(statement, 'NotAction') IS NOT NULL)
      AND any_is(values_at(statement, 'Resource'), 're', '^\s*(\*+|acs(:\*+)+(/\*+)?)\s*$')
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
WHERE NOT EXISTS (SELECT 1 FROM boundless WHERE allowed_by = calls.event_key)
