-- A user was granted administrator rights, and within half an hour somebody created a key or password for it.
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
grants AS (
    SELECT coalesce(account_id, '') AS account, target AS whom, event_time AS given FROM calls WHERE is_grant = 1 AND coalesce(target, '') <> ''
),
-- Joined from the grants, which are few, to the calls: there can be thousands of new keys.
uses AS (
    SELECT DISTINCT calls.event_key AS used_by
    FROM grants
    JOIN calls ON calls.target = grants.whom AND coalesce(calls.account_id, '') = grants.account
    WHERE calls.is_grant = 0 AND calls.event_time BETWEEN grants.given AND grants.given + INTERVAL '30 minutes'
)
SELECT
    calls.*,
    concat_ws('; ', 'event = ' || event_name, 'for ' || target, 'which was given administrator rights within the 30 minutes before') AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM uses
JOIN calls ON calls.event_key = uses.used_by
