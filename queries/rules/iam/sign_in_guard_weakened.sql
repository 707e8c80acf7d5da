-- RAM settings that weaken sign-ins or allow them from anywhere.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'LoginNetworkMasks = ' || param(request_parameters, request_parameter_json, 'LoginNetworkMasks'),
        'MFAOperationForLogin = ' || param(request_parameters, request_parameter_json, 'MFAOperationForLogin'),
        'EnforceMFAForLogin = ' || param(request_parameters, request_parameter_json, 'EnforceMFAForLogin'),
        'OperationForRiskLogin = ' || param(request_parameters, request_parameter_json, 'OperationForRiskLogin'),
        'AllowUserToManageAccessKeys = ' || param(request_parameters, request_parameter_json, 'AllowUserToManageAccessKeys'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action = 'setsecuritypreference'
  AND lower(service_name) IN ('ram', 'ims')
  AND outcome = 'success'
  AND (param(request_parameters, request_parameter_json, 'LoginNetworkMasks') = ''
    OR param(request_parameters, request_parameter_json, 'LoginNetworkMasks') LIKE '%0.0.0.0/0%'
    OR param(request_parameters, request_parameter_json, 'LoginNetworkMasks') LIKE '%::/0%'
    OR lower(param(request_parameters, request_parameter_json, 'MFAOperationForLogin')) IN ('independent', 'adaptive')
    OR lower(param(request_parameters, request_parameter_json, 'EnforceMFAForLogin')) = 'false'
    OR lower(param(request_parameters, request_parameter_json, 'OperationForRiskLogin')) = 'autonomous'
    OR lower(param(request_parameters, request_parameter_json, 'AllowUserToManageAccessKeys')) = 'true')
