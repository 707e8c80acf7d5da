-- A password policy that is weaker than the benchmark requires.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'MinimumPasswordLength = ' || param(request_parameters, 'MinimumPasswordLength'),
        'PasswordReusePrevention = ' || param(request_parameters, 'PasswordReusePrevention'),
        'MaxPasswordAge = ' || param(request_parameters, 'MaxPasswordAge'),
        'MaxLoginAttemps = ' || coalesce(param(request_parameters, 'MaxLoginAttemps'), param(request_parameters, 'MaxLoginAttempts')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action = 'setpasswordpolicy'
  AND lower(service_name) IN ('ram', 'ims')
  AND outcome = 'success'
  AND (TRY_CAST(param(request_parameters, 'MinimumPasswordLength') AS BIGINT) < 14
    OR TRY_CAST(param(request_parameters, 'PasswordReusePrevention') AS BIGINT) < 4
    OR TRY_CAST(param(request_parameters, 'MaxPasswordAge') AS BIGINT) NOT BETWEEN 1 AND 90
    -- The API's own spelling.
    OR TRY_CAST(coalesce(param(request_parameters, 'MaxLoginAttemps'), param(request_parameters, 'MaxLoginAttempts')) AS BIGINT) NOT BETWEEN 1 AND 5)
