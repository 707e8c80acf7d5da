-- Console access given to a user or made easier. More severe where the same principal has also just created the user.
WITH calls AS (
    SELECT
        events.*,
        coalesce(principal_id, '') AS who,
        -- Each service has a parameter of its own for the user. One of the other service counts only where that is missing.
        lower(coalesce(CASE WHEN lower(service_name) = 'ims' THEN coalesce(split_part(param(request_parameters, request_parameter_json, 'UserPrincipalName'), '@', 1), param(request_parameters, request_parameter_json, 'UserName')) ELSE coalesce(param(request_parameters, request_parameter_json, 'UserName'), split_part(param(request_parameters, request_parameter_json, 'UserPrincipalName'), '@', 1)) END, '')) AS login_user,
        -- The password itself is hidden, and param returns no hidden value.
        event_action = 'updateloginprofile' AND values_at(request_parameters, request_parameter_json, 'Password') IS NOT NULL AS sets_password,
        any_is(values_at(request_parameters, request_parameter_json, 'MFABindRequired'), 'equals', 'false') AS asks_no_mfa,
        any_is(values_at(request_parameters, request_parameter_json, 'Status'), 'equals', 'active') AS switches_on
    FROM events
    WHERE event_action IN ('createuser', 'createloginprofile', 'updateloginprofile')
      AND lower(service_name) IN ('ram', 'ims')
      AND outcome = 'success'
),
after AS (
    SELECT
        *,
        max(CASE WHEN event_action = 'createuser' AND event_time IS NOT NULL AND login_user <> '' THEN event_time END)
            OVER (PARTITION BY coalesce(account_id, ''), who, login_user ORDER BY event_time RANGE BETWEEN INTERVAL '30 minutes' PRECEDING AND CURRENT ROW) AS made_at
    FROM calls
)
SELECT
    after.*,
    CASE WHEN event_action = 'createloginprofile' AND made_at IS NOT NULL THEN 'high' END AS severity,
    concat_ws('; ',
        CASE WHEN event_action = 'createloginprofile' THEN 'Gave user ' ELSE 'Changed how user ' END || CASE WHEN login_user = '' THEN '?' ELSE login_user END || CASE WHEN event_action = 'createloginprofile' THEN ' a console password' ELSE ' signs in to the console' END,
        CASE WHEN event_action = 'createloginprofile' AND made_at IS NOT NULL THEN 'The same principal had made the user within the half hour before' END,
        CASE WHEN asks_no_mfa THEN 'The user need not bind MFA' END,
        CASE WHEN sets_password THEN 'The user has a new password' END,
        CASE WHEN event_action = 'updateloginprofile' AND switches_on THEN 'The sign-in of the user is switched on' END) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM after
WHERE event_action = 'createloginprofile'
   OR event_action = 'updateloginprofile' AND (asks_no_mfa OR sets_password OR switches_on OR request_parameters IS NULL AND request_parameter_json IS NULL)
