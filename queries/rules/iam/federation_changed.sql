-- Changes of identity providers that the company trusts.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'provider ' || coalesce(param(request_parameters, 'SAMLProviderName'), param(request_parameters, 'OIDCProviderName'), param(request_parameters, 'DirectoryId')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createsamlprovider', 'updatesamlprovider', 'deletesamlprovider', 'createoidcprovider', 'updateoidcprovider', 'deleteoidcprovider', 'addclientidtooidcprovider', 'addfingerprinttooidcprovider', 'setuserssosettings', 'setexternalsamlidentityprovider', 'createscimservercredential')
  AND lower(service_name) IN ('ram', 'ims', 'cloudsso')
  AND outcome = 'success'
