-- Steps of a takeover of a bastion host: its second factor or its sign-in server is changed, it is opened to the internet, its
-- configuration is exported, somebody gets in by a key or a credential of his own; or one principal makes a user or a grant and
-- opens a session to a host within a day. A new user, a grant and a session alone are everyday work.
WITH calls AS (
    SELECT
        event_key,
        event_time,
        event_action,
        coalesce(account_id, '') AS account,
        -- A role has another principal in every session.
        coalesce(role_name, principal_id) AS who,
        role_name,
        request_parameters,
        request_parameter_json,
        event_action IN ('createuser', 'modifyuser', 'createuserpublickey', 'adduserstogroup', 'attachhostaccountstouser', 'attachhostaccountstousergroup', 'attachhostgroupaccountstouser',
            'attachhostgroupaccountstousergroup', 'attachdatabaseaccountstouser', 'attachdatabaseaccountstousergroup', 'createrule', 'modifyrule', 'createhostaccount', 'modifyhostaccount', 'modifyinstancetwofactor') AS gives_access
    FROM events
    WHERE event_action IN ('createuser', 'modifyuser', 'createuserpublickey', 'modifyuserpublickey', 'adduserstogroup', 'attachhostaccountstouser', 'attachhostaccountstousergroup', 'attachhostgroupaccountstouser',
            'attachhostgroupaccountstousergroup', 'attachdatabaseaccountstouser', 'attachdatabaseaccountstousergroup', 'createrule', 'modifyrule', 'createhostaccount', 'modifyhostaccount', 'createhostsharekey',
            'generateassetoperationtoken', 'modifyinstancetwofactor', 'modifyinstanceadauthserver', 'modifyinstanceldapauthserver', 'configinstancewhitelist', 'enableinstancepublicaccess',
            'createexportconfigjob', 'setpolicyapprovalconfig', 'setpolicycommandconfig', 'setpolicyipaclconfig', 'deletepolicy', 'unlockusers')
      AND lower(service_name) IN ('yundun-bastionhost', 'bastionhost')
      AND outcome = 'success'
),
-- Users who took a role with a key or in the console: what its sessions do counts as theirs.
taken AS (
    SELECT DISTINCT
        coalesce(account_id, '') AS account,
        principal_id AS taker,
        lower(split_part(param(request_parameters, request_parameter_json, 'RoleArn'), '/', 2)) AS role_taken,
        event_time AS taken_at
    FROM events
    WHERE event_action = 'assumerole' AND lower(service_name) = 'sts' AND outcome = 'success' AND lower(trim(user_type)) = 'ram-user'
      AND event_time IS NOT NULL
),
sessions AS (
    SELECT event_key, account, who, event_time
    FROM calls
    WHERE event_action = 'generateassetoperationtoken' AND event_time IS NOT NULL AND who IS NOT NULL
    UNION
    SELECT calls.event_key, calls.account, taken.taker, calls.event_time
    FROM calls
    JOIN taken ON taken.account = calls.account AND taken.role_taken = lower(calls.role_name)
    WHERE calls.event_action = 'generateassetoperationtoken'
      AND taken.taken_at BETWEEN calls.event_time - INTERVAL '12 hours' AND calls.event_time
),
judged AS (
    SELECT sessions.event_key, count(DISTINCT grants.event_key) AS grants_before
    FROM sessions
    JOIN calls AS grants ON grants.account = sessions.account AND grants.who = sessions.who
    WHERE grants.gives_access AND grants.event_time BETWEEN sessions.event_time - INTERVAL '1 day' AND sessions.event_time
    GROUP BY sessions.event_key
),
found AS (
    SELECT
        event_key,
        CASE
            WHEN event_action IN ('modifyinstancetwofactor', 'modifyuser', 'modifyinstanceadauthserver', 'modifyinstanceldapauthserver', 'configinstancewhitelist') THEN 'high'
            WHEN event_action IN ('setpolicyapprovalconfig', 'setpolicycommandconfig', 'setpolicyipaclconfig', 'deletepolicy', 'unlockusers') THEN 'low'
            ELSE 'medium'
        END AS severity,
        CASE WHEN event_action IN ('setpolicyapprovalconfig', 'setpolicycommandconfig', 'setpolicyipaclconfig', 'deletepolicy', 'unlockusers') THEN 'policy' END AS variant,
        CASE event_action
            WHEN 'modifyinstancetwofactor' THEN 'Weakened the second factor of a bastion host'
            WHEN 'modifyuser' THEN 'Switched the second factor of bastion user ' || coalesce(param(request_parameters, request_parameter_json, 'UserId'), '?') || ' off'
            WHEN 'modifyinstanceadauthserver' THEN 'Changed the server that signs users in to ' || coalesce(param(request_parameters, request_parameter_json, 'Server'), '?')
            WHEN 'modifyinstanceldapauthserver' THEN 'Changed the server that signs users in to ' || coalesce(param(request_parameters, request_parameter_json, 'Server'), '?')
            WHEN 'configinstancewhitelist' THEN 'Opened the bastion host to ' || coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'WhiteList'), ', '), '?')
            WHEN 'enableinstancepublicaccess' THEN 'Opened the bastion host to the internet'
            WHEN 'createexportconfigjob' THEN 'Exported the configuration of the bastion host'
            WHEN 'createuserpublickey' THEN 'Gave bastion user ' || coalesce(param(request_parameters, request_parameter_json, 'UserId'), '?') || ' another key'
            WHEN 'modifyuserpublickey' THEN 'Changed a key of a bastion user'
            WHEN 'unlockusers' THEN 'Unlocked users of the bastion host'
            ELSE 'Changed what the bastion host asks before it lets users work'
        END AS reason
    FROM calls
    WHERE event_action IN ('modifyinstanceadauthserver', 'modifyinstanceldapauthserver', 'enableinstancepublicaccess', 'createexportconfigjob', 'createuserpublickey', 'modifyuserpublickey',
            'setpolicyapprovalconfig', 'setpolicycommandconfig', 'setpolicyipaclconfig', 'deletepolicy', 'unlockusers')
       -- A factor that is switched on, or that nothing is said of, is no step.
       OR event_action = 'modifyinstancetwofactor' AND (any_is(values_at(request_parameters, request_parameter_json, 'EnableTwoFactor'), 'equals', 'false') OR any_is(values_at(request_parameters, request_parameter_json, 'SkipTwoFactorTime'), '>', '0'))
       OR event_action = 'modifyuser' AND any_is(values_at(request_parameters, request_parameter_json, 'TwoFactorStatus'), 'equals', 'Disable')
       OR event_action = 'configinstancewhitelist' AND (internet_share(values_at(request_parameters, request_parameter_json, 'WhiteList')) >= 0.01 OR internet_share(values_at(request_parameters, request_parameter_json, 'WhiteListPolicies')) >= 0.01)
    UNION ALL
    SELECT event_key, 'low', 'undetermined', 'Changed how a bastion host or one of its users is guarded'
    FROM calls
    WHERE event_action IN ('modifyinstancetwofactor', 'modifyuser', 'configinstancewhitelist')
      -- It lacks what the call must name, whatever else it has.
      AND values_at(request_parameters, request_parameter_json, 'InstanceId') IS NULL
      AND CASE event_action
            WHEN 'modifyinstancetwofactor' THEN coalesce(values_at(request_parameters, request_parameter_json, 'EnableTwoFactor'), values_at(request_parameters, request_parameter_json, 'SkipTwoFactorTime'))
            WHEN 'modifyuser' THEN coalesce(values_at(request_parameters, request_parameter_json, 'UserId'), values_at(request_parameters, request_parameter_json, 'TwoFactorStatus'))
            ELSE coalesce(values_at(request_parameters, request_parameter_json, 'WhiteList'), values_at(request_parameters, request_parameter_json, 'WhiteListPolicies'))
        END IS NULL
    UNION ALL
    SELECT
        judged.event_key,
        'high',
        'own way in',
        concat_ws('; ', 'Opened a session to host ' || coalesce(param(calls.request_parameters, calls.request_parameter_json, 'AssetId'), '?') || ' as ' || coalesce(param(calls.request_parameters, calls.request_parameter_json, 'AssetAccountName'), param(calls.request_parameters, calls.request_parameter_json, 'AssetAccountId'), '?'),
            CAST(grants_before AS VARCHAR) || ' calls of the same caller gave access to hosts in the day before')
    FROM judged
    JOIN calls ON calls.event_key = judged.event_key
)
SELECT
    events.*,
    found.severity,
    found.variant,
    concat_ws('; ', found.reason, 'Bastion host ' || param(request_parameters, request_parameter_json, 'InstanceId')) AS why,
    nullif(concat_ws('; ', CASE WHEN found.variant = 'undetermined' THEN 'What was changed' END,
        CASE WHEN events.source_class <> 'ip' THEN 'Where the call came from (source address: ' || events.source_class || ')' END), '') AS unknowns
FROM found
JOIN events ON events.event_key = found.event_key
