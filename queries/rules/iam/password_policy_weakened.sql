-- A password policy that is weaker than the benchmark requires.
WITH calls AS (
    SELECT
        events.*,
        -- RAM and CloudSSO name these differently. A parameter of the other service counts only where its own is missing.
        CASE WHEN lower(service_name) = 'cloudsso' THEN coalesce(values_at(request_parameters, request_parameter_json, 'MinPasswordLength'), values_at(request_parameters, request_parameter_json, 'MinimumPasswordLength')) ELSE coalesce(values_at(request_parameters, request_parameter_json, 'MinimumPasswordLength'), values_at(request_parameters, request_parameter_json, 'MinPasswordLength')) END AS length_least,
        values_at(request_parameters, request_parameter_json, 'PasswordReusePrevention') AS remembered,
        values_at(request_parameters, request_parameter_json, 'MaxPasswordAge') AS age_most,
        CASE WHEN lower(service_name) = 'cloudsso' THEN coalesce(values_at(request_parameters, request_parameter_json, 'MaxLoginAttempts'), values_at(request_parameters, request_parameter_json, 'MaxLoginAttemps')) ELSE coalesce(values_at(request_parameters, request_parameter_json, 'MaxLoginAttemps'), values_at(request_parameters, request_parameter_json, 'MaxLoginAttempts')) END AS attempts_most,
        concat_ws(', ',
            CASE WHEN any_is(values_at(request_parameters, request_parameter_json, 'RequireLowercaseCharacters'), 'equals', 'false') THEN 'RequireLowercaseCharacters' END,
            CASE WHEN any_is(values_at(request_parameters, request_parameter_json, 'RequireUppercaseCharacters'), 'equals', 'false') THEN 'RequireUppercaseCharacters' END,
            CASE WHEN any_is(values_at(request_parameters, request_parameter_json, 'RequireNumbers'), 'equals', 'false') THEN 'RequireNumbers' END,
            CASE WHEN any_is(values_at(request_parameters, request_parameter_json, 'RequireSymbols'), 'equals', 'false') THEN 'RequireSymbols' END) AS not_required
    FROM events
    WHERE event_action = 'setpasswordpolicy'
      AND lower(service_name) IN ('ram', 'ims', 'cloudsso')
      AND outcome = 'success'
)
SELECT
    calls.*,
    concat_ws('; ',
        CASE WHEN any_is(length_least, '<', '14') THEN 'A password needs ' || array_to_string(length_least, ', ') || ' characters (the benchmark asks for 14)' END,
        CASE WHEN any_is(remembered, '<', '4') THEN 'The last ' || array_to_string(remembered, ', ') || ' passwords may not be used again (the benchmark asks for 4)' END,
        CASE WHEN (any_is(age_most, '<', '1') OR any_is(age_most, '>', '90')) THEN 'A password is valid for ' || array_to_string(age_most, ', ') || ' days, where 0 is for ever (the benchmark asks for 90)' END,
        CASE WHEN (any_is(attempts_most, '<', '1') OR any_is(attempts_most, '>', '5')) THEN 'A password may be tried ' || array_to_string(attempts_most, ', ') || ' times, where 0 is without end (the benchmark asks for 5)' END,
        CASE WHEN not_required <> '' THEN 'Passwords need not fulfil ' || not_required END) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM calls
WHERE any_is(length_least, '<', '14')
   OR any_is(remembered, '<', '4')
   OR (any_is(age_most, '<', '1') OR any_is(age_most, '>', '90'))
   OR (any_is(attempts_most, '<', '1') OR any_is(attempts_most, '>', '5'))
   OR not_required <> ''
