-- Settings of RAM and CloudSSO that weaken sign-ins or allow them from anywhere.
WITH calls AS (
    SELECT
        events.*,
        trim(param(request_parameters, request_parameter_json, 'LoginNetworkMasks')) = '' AS lifts_masks,
        -- Ranges that cover the internet only together count too.
        coalesce(internet_share(string_to_array(regexp_replace(array_to_string(values_at(request_parameters, request_parameter_json, 'LoginNetworkMasks'), ';'), '[\s,;]+', ';', 'g'), ';')), 0) AS masks_share,
        -- RAM and CloudSSO have settings of their own. One of the other service means nothing.
        CASE WHEN event_action <> 'setsecuritypreference' THEN NULL WHEN any_is(values_at(request_parameters, request_parameter_json, 'MFAOperationForLogin'), 'equals', 'independent') THEN 'independent' ELSE lower(trim(param(request_parameters, request_parameter_json, 'MFAOperationForLogin'))) END AS mfa_for_login,
        event_action = 'setsecuritypreference' AND any_is(values_at(request_parameters, request_parameter_json, 'EnforceMFAForLogin'), 'equals', 'false') AS mfa_not_enforced,
        event_action = 'setsecuritypreference' AND any_is(values_at(request_parameters, request_parameter_json, 'OperationForRiskLogin'), 'equals', 'autonomous') AS risk_may_pass,
        event_action = 'setsecuritypreference' AND any_is(values_at(request_parameters, request_parameter_json, 'AllowUserToManageAccessKeys'), 'equals', 'true') AS users_make_keys,
        event_action = 'setloginpreference' AND any_is(values_at(request_parameters, request_parameter_json, 'AllowUserToGetCredentials'), 'equals', 'true') AS users_get_credentials,
        event_action = 'setsecuritypreference' AND any_is(values_at(request_parameters, request_parameter_json, 'EnableSaveMFATicket'), 'equals', 'true') AS mfa_is_remembered,
        event_action = 'setsecuritypreference' AND any_is(values_at(request_parameters, request_parameter_json, 'VerificationTypes'), 're', '(?i)sms|email') AS weak_verification,
        event_action = 'setsecuritypreference' AND any_is(values_at(request_parameters, request_parameter_json, 'LoginSessionDuration'), '>', '12') AS long_sessions,
        -- Parameters that are no settings of the service say nothing.
        coalesce(values_at(request_parameters, request_parameter_json, 'LoginNetworkMasks'), CASE
            WHEN event_action = 'setloginpreference' THEN values_at(request_parameters, request_parameter_json, 'AllowUserToGetCredentials')
            ELSE coalesce(values_at(request_parameters, request_parameter_json, 'AllowUserToChangePassword'), values_at(request_parameters, request_parameter_json, 'AllowUserToManageAccessKeys'),
                values_at(request_parameters, request_parameter_json, 'AllowUserToManageMFADevices'), values_at(request_parameters, request_parameter_json, 'EnableSaveMFATicket'),
                values_at(request_parameters, request_parameter_json, 'LoginSessionDuration'),
                CASE WHEN lower(service_name) = 'ims' THEN coalesce(values_at(request_parameters, request_parameter_json, 'AllowUserToLoginWithPasskey'), values_at(request_parameters, request_parameter_json, 'AllowUserToManagePersonalDingTalk'),
                values_at(request_parameters, request_parameter_json, 'MFAOperationForLogin'), values_at(request_parameters, request_parameter_json, 'MaxIdleDaysForAccessKeys'),
                values_at(request_parameters, request_parameter_json, 'MaxIdleDaysForUsers'), values_at(request_parameters, request_parameter_json, 'OperationForRiskLogin'),
                values_at(request_parameters, request_parameter_json, 'VerificationTypes')) ELSE values_at(request_parameters, request_parameter_json, 'AllowUserToManagePublicKeys') END)
        END) IS NULL AS says_nothing
    FROM events
    WHERE event_action IN ('setsecuritypreference', 'setloginpreference')
      AND lower(service_name) IN ('ram', 'ims', 'cloudsso')
      AND outcome = 'success'
),
-- Infrastructure code and the console send all settings again with every change. What makes sign-ins easier counts where it is new.
conveniences AS (
    SELECT
        event_key,
        event_time,
        concat_ws(',',
            CASE WHEN users_get_credentials THEN 'credentials' END,
            CASE WHEN mfa_is_remembered THEN 'remembered' END,
            CASE WHEN weak_verification THEN 'verification' END,
            CASE WHEN long_sessions THEN 'sessions' END) AS now_easier,
        -- A call that gives a setting two values makes neither known: the caller can add a weak one beforehand.
        concat_ws(',',
            CASE WHEN users_get_credentials AND regexp_like(lower(array_to_string(values_at(request_parameters, request_parameter_json, 'AllowUserToGetCredentials'), ',')), '^ *true *(, *true *)*$') THEN 'credentials' END,
            CASE WHEN mfa_is_remembered AND regexp_like(lower(array_to_string(values_at(request_parameters, request_parameter_json, 'EnableSaveMFATicket'), ',')), '^ *true *(, *true *)*$') THEN 'remembered' END,
            CASE WHEN weak_verification THEN 'verification' END,
            CASE WHEN long_sessions AND NOT any_is(values_at(request_parameters, request_parameter_json, 'LoginSessionDuration'), '<=', '12') THEN 'sessions' END) AS surely_easier,
        coalesce(account_id, '') AS account,
        lower(service_name) = 'cloudsso' AS is_cloudsso
    FROM calls
    WHERE event_time IS NOT NULL
      AND CASE WHEN event_action = 'setloginpreference' THEN values_at(request_parameters, request_parameter_json, 'AllowUserToGetCredentials') ELSE coalesce(values_at(request_parameters, request_parameter_json, 'EnableSaveMFATicket'), values_at(request_parameters, request_parameter_json, 'VerificationTypes'), values_at(request_parameters, request_parameter_json, 'LoginSessionDuration')) END IS NOT NULL
),
followed AS (
    SELECT
        event_key AS followed_key,
        now_easier,
        lag(surely_easier) OVER (PARTITION BY account, is_cloudsso ORDER BY event_time, event_key) AS easier_before,
        lag(event_time) OVER (PARTITION BY account, is_cloudsso ORDER BY event_time, event_key) >= event_time - INTERVAL '90 days' AS is_known_before
    FROM conveniences
),
judged AS (
    SELECT
        calls.*,
        -- Without an earlier call, settings that also make MFA mandatory are a set-up. Of the services, IMS alone can set that.
        coalesce(CASE
            WHEN is_known_before THEN cardinality(array_except(string_to_array(now_easier, ','), string_to_array(easier_before, ','))) > 0
            WHEN lower(service_name) = 'ims' THEN coalesce(mfa_for_login, '') <> 'mandatory'
        END, true) AS is_change,
        CASE
            WHEN lifts_masks OR masks_share >= 0.5 OR mfa_for_login = 'independent' OR mfa_not_enforced OR risk_may_pass THEN 'high'
            WHEN mfa_for_login = 'adaptive' OR users_make_keys THEN 'medium'
            WHEN users_get_credentials OR mfa_is_remembered OR weak_verification OR long_sessions OR says_nothing THEN 'low'
        END AS weakened
    FROM calls
    LEFT JOIN followed ON followed_key = event_key
)
SELECT
    judged.*,
    weakened AS severity,
    CASE WHEN says_nothing THEN 'setting-unknown' WHEN weakened = 'low' THEN 'convenience' END AS variant,
    concat_ws('; ',
        CASE WHEN lifts_masks THEN 'Sign-ins are allowed from every network' END,
        CASE WHEN masks_share >= 0.5 THEN 'The networks allowed for sign-ins cover the internet: ' || replace(param(request_parameters, request_parameter_json, 'LoginNetworkMasks'), ';', ',') END,
        CASE WHEN mfa_for_login = 'independent' THEN 'Each user decides whether to sign in with MFA' END,
        CASE WHEN mfa_for_login = 'adaptive' THEN 'MFA is asked for only where a sign-in is at risk' END,
        CASE WHEN mfa_not_enforced THEN 'MFA is no longer required' END,
        CASE WHEN risk_may_pass THEN 'A sign-in at risk may skip MFA' END,
        CASE WHEN users_make_keys THEN 'Users may manage their own AccessKeys' END,
        CASE WHEN users_get_credentials THEN 'Users may fetch temporary credentials from the portal' END,
        CASE WHEN mfa_is_remembered THEN 'MFA is remembered for seven days' END,
        CASE WHEN weak_verification THEN 'Text messages or mail count as MFA' END,
        CASE WHEN long_sessions THEN 'A console session lasts ' || param(request_parameters, request_parameter_json, 'LoginSessionDuration') || ' hours' END,
        CASE WHEN says_nothing THEN 'Changed the settings of sign-ins' END) AS why,
    concat_ws('; ',
        CASE WHEN says_nothing THEN 'Which settings were changed' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM judged
WHERE weakened IN ('high', 'medium') OR weakened = 'low' AND (says_nothing OR is_change)
