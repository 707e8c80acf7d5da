-- Console access given to a user or made easier. More severe where the same principal has also just created the user.
WITH calls AS (
    SELECT
        events.*,
        coalesce(principal_id, '') AS who,
        lower(coalesce(param(request_parameters, 'UserName'), split_part(param(request_parameters, 'UserPrincipalName'), '@', 1), '')) AS login_user
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
        'event = ' || event_name,
        CASE WHEN login_user <> '' THEN 'user ' || login_user END,
        CASE WHEN event_action = 'createloginprofile' AND made_at IS NOT NULL THEN 'which was made by the same principal within the half hour before' END,
        CASE WHEN lower(param(request_parameters, 'MFABindRequired')) = 'false' THEN 'no MFA asked for' END,
        CASE WHEN event_action = 'updateloginprofile' AND request_parameters LIKE '%"Password"%' THEN 'a new password' END) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM after
WHERE event_action = 'createloginprofile'
   OR (event_action = 'updateloginprofile' AND (lower(param(request_parameters, 'MFABindRequired')) = 'false' OR request_parameters LIKE '%"Password"%'))
