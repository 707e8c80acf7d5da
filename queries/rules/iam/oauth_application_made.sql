-- An OAuth application or its secret was created, its address for tokens or its rights changed, or one was let into the account.
-- Whoever holds the secret acts as the application, also after every AccessKey has been changed.
WITH calls AS (
    SELECT
        events.*,
        coalesce(CASE WHEN event_action = 'createapplication' THEN param(request_parameters, request_parameter_json, 'AppName') ELSE param(request_parameters, request_parameter_json, 'AppId') END, '?') AS application,
        array_to_string(CASE event_action WHEN 'updateapplication' THEN values_at(request_parameters, request_parameter_json, 'NewRedirectUris') WHEN 'createapplication' THEN values_at(request_parameters, request_parameter_json, 'RedirectUris') END, ', ') AS redirects,
        array_to_string(CASE event_action WHEN 'updateapplication' THEN coalesce(values_at(request_parameters, request_parameter_json, 'NewPredefinedScopes'), values_at(request_parameters, request_parameter_json, 'NewRequiredScopes')) WHEN 'createapplication' THEN coalesce(values_at(request_parameters, request_parameter_json, 'PredefinedScopes'), values_at(request_parameters, request_parameter_json, 'RequiredScopes')) WHEN 'createappsecret' THEN NULL ELSE values_at(request_parameters, request_parameter_json, 'Scopes') END, ', ') AS scopes
    FROM events
    WHERE event_action IN ('createapplication', 'createappsecret', 'updateapplication', 'provisionapplication', 'provisionexternalapplication')
      AND lower(service_name) IN ('ims', 'ram')
      AND outcome = 'success'
)
SELECT
    calls.*,
    CASE WHEN event_action = 'updateapplication' AND redirects IS NULL AND scopes IS NULL AND param(request_parameters, request_parameter_json, 'NewSecretRequired') IS NULL THEN 'low' END AS severity,
    concat_ws('; ',
        CASE event_action
            WHEN 'createapplication' THEN 'Created the OAuth application ' || application
            WHEN 'createappsecret' THEN 'Created a secret of the OAuth application ' || application
            WHEN 'updateapplication' THEN 'Changed the OAuth application ' || application
            WHEN 'provisionapplication' THEN 'Let the OAuth application ' || application || ' into the account'
            ELSE 'Let the OAuth application ' || application || ' of somebody else into the account'
        END,
        'Its tokens go to ' || replace(redirects, ';', ','),
        'It may ask for ' || replace(scopes, ';', ',')) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM calls
