-- MFA of a user was removed, or MFA is no longer required.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'of ' || coalesce(param(request_parameters, 'UserName'), param(request_parameters, 'UserPrincipalName'), param(request_parameters, 'UserId')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('unbindmfadevice', 'disablevirtualmfa', 'deletevirtualmfadevice', 'deletepasskey', 'deletemfadeviceforuser', 'setmfaauthenticationstatus', 'updatemfaauthenticationsettings')
  AND lower(service_name) IN ('ram', 'ims', 'cloudsso')
  AND outcome = 'success'
  -- Requiring MFA is not a removal.
  AND NOT (event_action = 'setmfaauthenticationstatus' AND coalesce(lower(param(request_parameters, 'MFAAuthenticationStatus')), '') = 'enabled')
