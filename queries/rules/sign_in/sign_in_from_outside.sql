-- Successful sign-ins from an address outside of the company's ranges that were valid on that day.
-- A source that is not an IP address (Internal, a host name, missing, masked) is neither inside nor outside and is left out.
WITH judged AS (
    SELECT
        events.*,
        lower(trim(user_type)) AS kind,
        coalesce(lower(param(additional_event_data, 'loginType')) LIKE '%sso%', false) AS through_sso,
        regexp_like(coalesce(user_agent, ''), '(AliApp|AlipayClient|AlibabaCloudApp)') AS from_mobile_app
    FROM events
    WHERE (event_action LIKE 'consolesignin%' OR (event_action = 'login' AND lower(service_name) = 'cloudsso'))
      AND outcome = 'success'
      AND source_class = 'ip'
)
SELECT
    judged.*,
    CASE
        WHEN kind = 'root-account' THEN 'critical'
        WHEN mfa = 'no' AND NOT through_sso THEN 'critical'
        WHEN through_sso AND mfa <> 'no' THEN 'medium'
        ELSE 'high'
    END AS severity,
    CASE WHEN from_mobile_app AND setting('mobile_policy') = 'suppress'
         THEN 'mobile_policy: sign-in from the mobile app' END AS expected_because,
    concat_ws('; ',
        'source address ' || client_ip || ' is in no corporate range',
        'identity = ' || kind,
        CASE WHEN mfa = 'no' THEN 'mfa = no' END,
        CASE WHEN through_sso THEN 'signed in through SSO' END,
        CASE WHEN from_mobile_app THEN 'mobile app' END) AS why,
    concat_ws('; ', CASE WHEN mfa = 'unknown' THEN 'mfa' END) AS unknowns
FROM judged
WHERE NOT ip_in(source_ip, 'corporate_cidrs', event_time)
