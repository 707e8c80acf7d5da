-- RAM settings that weaken sign-ins or allow them from anywhere.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'LoginNetworkMasks = ' || param(request_parameters, 'LoginNetworkMasks'),
        'MFAOperationForLogin = ' || param(request_parameters, 'MFAOperationForLogin'),
        'EnforceMFAForLogin = ' || param(request_parameters, 'EnforceMFAForLogin'),
        'OperationForRiskLogin = ' || param(request_parameters, 'OperationForRiskLogin'),
        'AllowUserToManageAccessKeys = ' || param(request_parameters, 'AllowUserToManageAccessKeys'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action = 'setsecuritypreference'
  AND lower(service_name) IN ('ram', 'ims')
  AND outcome = 'success'
  AND (param(request_parameters, 'LoginNetworkMasks') = ''
    OR param(request_parameters, 'LoginNetworkMasks') LIKE '%0.0.0.0/0%'
    OR param(request_parameters, 'LoginNetworkMasks') LIKE '%::/0%'
    OR lower(param(request_parameters, 'MFAOperationForLogin')) IN ('independent', 'adaptive')
    OR lower(param(request_parameters, 'EnforceMFAForLogin')) = 'false'
    OR lower(param(request_parameters, 'OperationForRiskLogin')) = 'autonomous'
    OR lower(param(request_parameters, 'AllowUserToManageAccessKeys')) = 'true')
