-- Changes of identity providers that the company trusts, and of credentials that write users into CloudSSO.
SELECT
    events.*,
    -- Without its provider nobody signs in as somebody else; people may then sign in with passwords.
    CASE WHEN event_action IN ('deletesamlprovider', 'deleteoidcprovider', 'clearexternalsamlidentityprovider', 'removeexternalsamlidpcertificate') THEN 'medium' END AS severity,
    CASE
        WHEN event_action = 'setuserssosettings' THEN 'Changed the user-based SSO of the account'
        WHEN event_action = 'setexternalsamlidentityprovider' THEN 'Set the identity provider of directory ' || coalesce(param(request_parameters, request_parameter_json, 'DirectoryId'), '?')
        WHEN event_action = 'addexternalsamlidpcertificate' THEN 'Added a certificate of the identity provider to directory ' || coalesce(param(request_parameters, request_parameter_json, 'DirectoryId'), '?')
        WHEN event_action = 'removeexternalsamlidpcertificate' THEN 'Removed a certificate of the identity provider from directory ' || coalesce(param(request_parameters, request_parameter_json, 'DirectoryId'), '?')
        WHEN event_action = 'clearexternalsamlidentityprovider' THEN 'Removed the identity provider of directory ' || coalesce(param(request_parameters, request_parameter_json, 'DirectoryId'), '?')
        WHEN event_action = 'createscimservercredential' THEN 'Created a credential that can write users into directory ' || coalesce(param(request_parameters, request_parameter_json, 'DirectoryId'), '?')
        WHEN event_action = 'updatescimservercredentialstatus' THEN 'Switched on a credential that can write users into directory ' || coalesce(param(request_parameters, request_parameter_json, 'DirectoryId'), '?')
        WHEN event_action = 'setscimsynchronizationstatus' THEN 'Switched on the synchronization of users into directory ' || coalesce(param(request_parameters, request_parameter_json, 'DirectoryId'), '?')
        WHEN event_action LIKE 'create%' THEN 'Created the identity provider ' || coalesce(CASE WHEN event_action LIKE '%oidc%' THEN param(request_parameters, request_parameter_json, 'OIDCProviderName') ELSE param(request_parameters, request_parameter_json, 'SAMLProviderName') END, '?')
        WHEN event_action LIKE 'delete%' THEN 'Deleted the identity provider ' || coalesce(CASE WHEN event_action LIKE '%oidc%' THEN param(request_parameters, request_parameter_json, 'OIDCProviderName') ELSE param(request_parameters, request_parameter_json, 'SAMLProviderName') END, '?')
        WHEN event_action = 'addclientidtooidcprovider' THEN 'Added client ' || coalesce(param(request_parameters, request_parameter_json, 'ClientId'), '?') || ' to the identity provider ' || coalesce(param(request_parameters, request_parameter_json, 'OIDCProviderName'), '?')
        WHEN event_action = 'addfingerprinttooidcprovider' THEN 'Added a fingerprint to the identity provider ' || coalesce(param(request_parameters, request_parameter_json, 'OIDCProviderName'), '?')
        ELSE 'Changed the identity provider ' || coalesce(CASE WHEN event_action LIKE '%oidc%' THEN param(request_parameters, request_parameter_json, 'OIDCProviderName') ELSE param(request_parameters, request_parameter_json, 'SAMLProviderName') END, '?')
    END || CASE
        WHEN event_action = 'setuserssosettings' AND any_is(values_at(request_parameters, request_parameter_json, 'SsoEnabled'), 'equals', 'false') OR event_action = 'setexternalsamlidentityprovider' AND any_is(values_at(request_parameters, request_parameter_json, 'SSOStatus'), 'equals', 'disabled') THEN '; SSO is switched off, and passwords count again'
        ELSE ''
    END AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createsamlprovider', 'updatesamlprovider', 'createoidcprovider', 'updateoidcprovider', 'addclientidtooidcprovider', 'addfingerprinttooidcprovider', 'setuserssosettings', 'setexternalsamlidentityprovider', 'addexternalsamlidpcertificate', 'createscimservercredential', 'updatescimservercredentialstatus', 'setscimsynchronizationstatus',
      'deletesamlprovider', 'deleteoidcprovider', 'clearexternalsamlidentityprovider', 'removeexternalsamlidpcertificate')
  AND lower(service_name) IN ('ram', 'ims', 'cloudsso')
  AND outcome = 'success'
  -- Switching a way in off is no danger. Each parameter counts for the call that has it.
  AND NOT coalesce(event_action = 'updatescimservercredentialstatus' AND lower(trim(param(request_parameters, request_parameter_json, 'NewStatus'))) = 'disabled'
    OR event_action = 'setscimsynchronizationstatus' AND lower(trim(param(request_parameters, request_parameter_json, 'SCIMSynchronizationStatus'))) = 'disabled', false)
