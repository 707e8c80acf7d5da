-- Steps of a takeover of a bastion host: its second factor or its sign-in server is changed, it is opened to the internet, its
-- configuration is exported, somebody gets in by a key or a credential of his own; or one principal makes a user or a grant and
-- opens a session to a host within a day. A new user, a grant and a session alone are everyday work.
WITH calls AS (
    SELECT
        event_key,
        event_time,
        event_action,
        coalesce(account_id, '') AS account,
        principal_id,
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
judged AS (
    SELECT
        *,
        sum(CASE WHEN gives_access THEN 1 ELSE 0 END) OVER (PARTITION BY account, principal_id ORDER BY event_time RANGE BETWEEN INTERVAL '1 day' PRECEDING AND CURRENT ROW) AS grants_before
    FROM calls
    WHERE event_time IS NOT NULL AND principal_id IS NOT NULL
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
    WHERE request_parameters IS NULL AND request_parameter_json IS NULL AND event_action IN ('modifyinstancetwofactor', 'modifyuser', 'configinstancewhitelist')
    UNION ALL
    SELECT
        event_key,
        'high',
        'own way in',
        concat_ws('; ', 'Opened a session to host ' || coalesce(param(request_parameters, request_parameter_json, 'AssetId'), '?') || ' as ' || coalesce(param(request_parameters, request_parameter_json, 'AssetAccountName'), param(request_parameters, request_parameter_json, 'AssetAccountId'), '?'),
            CAST(grants_before AS VARCHAR) || ' calls of the same caller gave access to hosts in the day before')
    FROM judged
    WHERE event_action = 'generateassetoperationtoken' AND grants_before > 0
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
