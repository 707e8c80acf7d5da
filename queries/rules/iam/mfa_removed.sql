-- MFA of a user was removed, or MFA is no longer required.
WITH calls AS (
    SELECT
        events.*,
        CASE
            WHEN lower(service_name) = 'cloudsso' THEN CASE WHEN event_action NOT IN ('setmfaauthenticationstatus', 'updatemfaauthenticationsettings') THEN param(request_parameters, request_parameter_json, 'UserId') END
            WHEN lower(service_name) = 'ims' THEN coalesce(param(request_parameters, request_parameter_json, 'UserPrincipalName'), param(request_parameters, request_parameter_json, 'UserName'))
            ELSE coalesce(param(request_parameters, request_parameter_json, 'UserName'), param(request_parameters, request_parameter_json, 'UserPrincipalName'))
        END AS whose,
        event_action IN ('setmfaauthenticationstatus', 'updatemfaauthenticationsettings', 'updateusermfaauthenticationsettings') AS is_setting,
        CASE
            WHEN any_is(CASE event_action WHEN 'setmfaauthenticationstatus' THEN values_at(request_parameters, request_parameter_json, 'MFAAuthenticationStatus') WHEN 'updatemfaauthenticationsettings' THEN values_at(request_parameters, request_parameter_json, 'MFAAuthenticationSettings') WHEN 'updateusermfaauthenticationsettings' THEN values_at(request_parameters, request_parameter_json, 'UserMFAAuthenticationSettings') END, 're', '(?i)^\s*disabled\s*$') THEN 'disabled'
            ELSE lower(trim(CASE event_action WHEN 'setmfaauthenticationstatus' THEN param(request_parameters, request_parameter_json, 'MFAAuthenticationStatus') WHEN 'updatemfaauthenticationsettings' THEN param(request_parameters, request_parameter_json, 'MFAAuthenticationSettings') WHEN 'updateusermfaauthenticationsettings' THEN param(request_parameters, request_parameter_json, 'UserMFAAuthenticationSettings') END))
        END AS setting_is,
        CASE WHEN event_action = 'updatemfaauthenticationsettings' THEN lower(trim(param(request_parameters, request_parameter_json, 'OperationForRiskLogin'))) END AS at_risk
    FROM events
    WHERE event_action IN ('unbindmfadevice', 'disablevirtualmfa', 'deletevirtualmfadevice', 'deletepasskey', 'deletemfadeviceforuser', 'unbindverification', 'setmfaauthenticationstatus', 'updatemfaauthenticationsettings', 'updateusermfaauthenticationsettings')
      AND lower(service_name) IN ('ram', 'ims', 'cloudsso')
      AND outcome = 'success'
      -- Requiring MFA is not a removal. Each parameter counts for the call that has it.
      AND (any_is(CASE event_action WHEN 'setmfaauthenticationstatus' THEN values_at(request_parameters, request_parameter_json, 'MFAAuthenticationStatus') WHEN 'updatemfaauthenticationsettings' THEN values_at(request_parameters, request_parameter_json, 'MFAAuthenticationSettings') WHEN 'updateusermfaauthenticationsettings' THEN values_at(request_parameters, request_parameter_json, 'UserMFAAuthenticationSettings') END, 'equals', 'enabled') IS NOT TRUE
        OR any_is(CASE event_action WHEN 'setmfaauthenticationstatus' THEN values_at(request_parameters, request_parameter_json, 'MFAAuthenticationStatus') WHEN 'updatemfaauthenticationsettings' THEN values_at(request_parameters, request_parameter_json, 'MFAAuthenticationSettings') WHEN 'updateusermfaauthenticationsettings' THEN values_at(request_parameters, request_parameter_json, 'UserMFAAuthenticationSettings') END, 're', '(?i)^\s*(disabled|byuser|onlyriskylogin)'))
)
SELECT
    calls.*,
    CASE
        WHEN is_setting AND setting_is IS NULL AND at_risk IS NULL THEN 'low'
        WHEN is_setting AND coalesce(setting_is, '') <> 'disabled' THEN 'medium'
        WHEN event_action = 'unbindverification' THEN 'medium'
    END AS severity,
    CASE WHEN is_setting AND setting_is IS NULL AND at_risk IS NULL THEN 'setting-unknown' END AS variant,
    concat_ws('; ',
        CASE
            WHEN is_setting AND setting_is = 'disabled' AND whose IS NOT NULL THEN 'MFA is no longer required of user ' || whose
            WHEN is_setting AND setting_is = 'disabled' THEN 'MFA is no longer required of anybody in directory ' || coalesce(param(request_parameters, request_parameter_json, 'DirectoryId'), '?')
            WHEN is_setting AND setting_is = 'byuser' THEN 'Each user now decides about MFA in directory ' || coalesce(param(request_parameters, request_parameter_json, 'DirectoryId'), '?')
            WHEN is_setting AND setting_is IS NOT NULL THEN 'MFA is now required by the setting ' || setting_is || ' in directory ' || coalesce(param(request_parameters, request_parameter_json, 'DirectoryId'), '?')
            WHEN is_setting THEN 'Changed when MFA is required in directory ' || coalesce(param(request_parameters, request_parameter_json, 'DirectoryId'), '?')
            WHEN event_action = 'deletepasskey' THEN 'Deleted a passkey of user ' || coalesce(whose, '?')
            WHEN event_action = 'unbindverification' THEN 'Removed a phone or mail address for verification from user ' || coalesce(whose, '?')
            WHEN event_action = 'deletevirtualmfadevice' THEN 'Deleted the MFA device ' || coalesce(param(request_parameters, request_parameter_json, 'SerialNumber'), '?')
            ELSE 'Removed the MFA device of user ' || coalesce(whose, '?')
        END,
        CASE WHEN at_risk = 'autonomous' THEN 'A sign-in at risk may skip MFA' END) AS why,
    concat_ws('; ',
        CASE WHEN is_setting AND setting_is IS NULL AND at_risk IS NULL THEN 'Whether MFA is still required' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM calls
-- Checking sign-ins at risk is stricter.
WHERE NOT (is_setting AND setting_is IS NULL AND coalesce(at_risk, '') = 'enforceverify')
