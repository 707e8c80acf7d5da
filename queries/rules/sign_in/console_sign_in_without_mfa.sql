-- Successful console sign-ins without MFA.
-- A sign-in that does not say whether MFA was used is left out: unknown is not no.
WITH judged AS (
    SELECT
        events.*,
        lower(trim(user_type)) AS kind,
        -- RAM users who sign in through an identity provider authenticate there; the trail does not show how.
        coalesce(lower(param(additional_event_data, 'loginType')) LIKE '%sso%', false) AS through_sso
    FROM events
    WHERE outcome = 'success'
      AND mfa = 'no'
      AND (event_action LIKE 'consolesignin%' OR event_action = 'login')
)
SELECT
    judged.*,
    CASE
        WHEN kind = 'root-account' THEN 'critical'
        WHEN through_sso THEN 'medium'
        ELSE 'high'
    END AS severity,
    CASE WHEN through_sso AND kind = 'ram-user' THEN 'sso' END AS variant,
    CASE WHEN through_sso AND kind = 'ram-user' AND setting('sso_asserts_mfa') = 'true'
         THEN 'sso_asserts_mfa: the identity provider asks for a second factor' END AS expected_because,
    concat_ws('; ',
        'mfa = no',
        'identity = ' || kind,
        CASE WHEN through_sso THEN 'signed in through SSO' END) AS why,
    concat_ws('; ', CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END) AS unknowns
FROM judged
WHERE (event_action LIKE 'consolesignin%' AND kind IN ('root-account', 'ram-user'))
   OR (event_action = 'login' AND lower(service_name) = 'cloudsso' AND kind = 'cloudsso-user')
