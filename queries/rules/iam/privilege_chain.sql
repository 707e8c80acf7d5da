-- A user is given administrator rights, and within half an hour somebody makes a key or password for it.
WITH calls AS (
    SELECT
        events.*,
        CASE WHEN event_action = 'attachpolicytouser' THEN 1 ELSE 0 END AS is_grant,
        lower(coalesce(param(request_parameters, 'UserName'), split_part(param(request_parameters, 'UserPrincipalName'), '@', 1))) AS target
    FROM events
    WHERE event_time IS NOT NULL AND outcome = 'success'
      AND (event_action IN ('createaccesskey', 'createloginprofile')
        OR event_action = 'attachpolicytouser'
           AND lower(param(request_parameters, 'PolicyName')) IN ('administratoraccess', 'aliyunramfullaccess', 'aliyunstsassumeroleaccess'))
      AND lower(service_name) IN ('ram', 'ims')
),
after AS (
    SELECT *, sum(is_grant) OVER (PARTITION BY coalesce(account_id, ''), target ORDER BY event_time RANGE BETWEEN INTERVAL '30 minutes' PRECEDING AND CURRENT ROW) AS grants
    FROM calls WHERE coalesce(target, '') <> ''
)
SELECT
    after.*,
    concat_ws('; ', 'event = ' || event_name, 'for ' || target, 'which was given administrator rights within the 30 minutes before') AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM after
WHERE is_grant = 0 AND grants > 0
