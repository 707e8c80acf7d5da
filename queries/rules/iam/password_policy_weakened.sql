-- A password policy that is weaker than the benchmark requires.
WITH calls AS (
    SELECT
        events.*,
        -- RAM and CloudSSO name these differently.
        TRY_CAST(coalesce(param(request_parameters, request_parameter_json, 'MinimumPasswordLength'), param(request_parameters, request_parameter_json, 'MinPasswordLength')) AS BIGINT) AS length_least,
        TRY_CAST(param(request_parameters, request_parameter_json, 'PasswordReusePrevention') AS BIGINT) AS remembered,
        TRY_CAST(param(request_parameters, request_parameter_json, 'MaxPasswordAge') AS BIGINT) AS age_most,
        TRY_CAST(coalesce(param(request_parameters, request_parameter_json, 'MaxLoginAttemps'), param(request_parameters, request_parameter_json, 'MaxLoginAttempts')) AS BIGINT) AS attempts_most,
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
        CASE WHEN length_least < 14 THEN 'A password needs ' || CAST(length_least AS VARCHAR) || ' characters (the benchmark asks for 14)' END,
        CASE WHEN remembered < 4 THEN 'The last ' || CAST(remembered AS VARCHAR) || ' passwords may not be used again (the benchmark asks for 4)' END,
        CASE WHEN age_most NOT BETWEEN 1 AND 90 THEN 'A password is valid for ' || CAST(age_most AS VARCHAR) || ' days, where 0 is for ever (the benchmark asks for 90)' END,
        CASE WHEN attempts_most NOT BETWEEN 1 AND 5 THEN 'A password may be tried ' || CAST(attempts_most AS VARCHAR) || ' times, where 0 is without end (the benchmark asks for 5)' END,
        CASE WHEN not_required <> '' THEN 'Passwords need not fulfil ' || not_required END) AS why,
    CASE source_class
        WHEN 'internal' THEN 'The call came from inside Alibaba Cloud, and its address is not known'
        WHEN 'service' THEN 'A service made the call, and whose address is behind it is not known'
        WHEN 'missing' THEN 'The event has no source address'
        WHEN 'garbage' THEN 'The source address cannot be read'
    END AS unknowns
FROM calls
WHERE length_least < 14
   OR remembered < 4
   OR age_most NOT BETWEEN 1 AND 90
   OR attempts_most NOT BETWEEN 1 AND 5
   OR not_required <> ''
