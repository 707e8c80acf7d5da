-- Successful sign-ins from an address outside of the company's ranges that were valid on that day. A person who takes a
-- role through an identity provider (AssumeRoleWithSAML) signs in too. Programs that do so (OIDC) have a rule of their own.
-- A source that is not an IP address (Internal, a host name, missing, a list), or an IPv6 address while the ranges are IPv4
-- only, is neither inside nor outside: AT-LOGIN-002-undetermined reports it.
WITH judged AS (
    SELECT
        events.*,
        lower(trim(user_type)) AS kind,
        event_action = 'assumerolewithsaml' AS role_sso,
        event_action = 'assumerolewithsaml'
            OR coalesce(lower(param(additional_event_data, 'loginType')) LIKE '%sso%', false)
            OR coalesce(lower(trim(user_type)) = 'ram-user', false) AND setting('sso_mode') = 'user_sso' AND mfa <> 'yes' AS through_sso,
        regexp_like(coalesce(user_agent, ''), '(AliApp|AlipayClient|AlibabaCloudApp)') AS from_mobile_app
    FROM events
    WHERE (event_action LIKE 'consolesignin%'
        OR event_action = 'login' AND lower(service_name) = 'cloudsso'
        OR event_action = 'assumerolewithsaml' AND lower(service_name) = 'sts')
      AND outcome = 'success'
      AND source_class = 'ip'
)
SELECT
    judged.*,
    CASE
        WHEN kind = 'root-account' THEN 'critical'
        WHEN mfa = 'no' AND NOT through_sso THEN 'critical'
        WHEN through_sso AND (mfa <> 'no' OR role_sso OR setting('sso_asserts_mfa') = 'true') THEN 'medium'
        ELSE 'high'
    END AS severity,
    CASE WHEN role_sso THEN 'role-sso' END AS variant,
    -- Anybody can give the name of the app, so it excuses only who had a second factor.
    CASE WHEN from_mobile_app AND mfa = 'yes' AND setting('mobile_policy') = 'suppress'
         THEN 'mobile_policy: sign-in from the mobile app' END AS expected_because,
    concat_ws('; ',
        CASE
            WHEN role_sso THEN coalesce('User ' || coalesce(user_name, principal_id) || ' of an identity provider took the role ' || param(request_parameters, request_parameter_json, 'RoleArn'), 'Somebody took a role through an identity provider')
            WHEN kind = 'root-account' THEN 'The root account signed in'
            WHEN kind = 'cloudsso-user' THEN coalesce('CloudSSO user ' || coalesce(user_name, principal_id) || ' signed in', 'Somebody signed in')
            WHEN kind = 'ram-user' THEN coalesce('RAM user ' || coalesce(user_name, principal_id) || ' signed in', 'Somebody signed in')
            ELSE coalesce('User ' || coalesce(user_name, login_account, principal_id) || ' signed in', 'Somebody signed in')
        END,
        'The sign-in came from ' || client_ip || ', which is in no corporate range',
        CASE WHEN mfa = 'no' AND NOT role_sso THEN 'No second factor was used' END,
        CASE WHEN through_sso AND NOT role_sso THEN 'The company signs in through an identity provider' END,
        CASE WHEN from_mobile_app THEN 'The client calls itself the mobile app' END) AS why,
    concat_ws('; ', CASE WHEN mfa = 'unknown' OR role_sso THEN 'Whether a second factor was used' END) AS unknowns
FROM judged
WHERE NOT ip_in(source_ip, 'corporate_cidrs', event_time)
