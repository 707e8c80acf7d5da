-- Successful console sign-ins without MFA. A sign-in that does not say whether MFA was used is left out: unknown is not no. One
-- that does not say what kind of user it was is undetermined.
-- Two kinds count less. Where RAM users sign in through an identity provider (`sso_mode`), the second factor is asked for
-- there, and the trail does not show it. And an account can let browsers remember the second factor for seven days: such a
-- sign-in follows one from the same network whose second factor was checked.
WITH signed_in AS (
    SELECT event_key, event_time, mfa, user_agent, coalesce(account_id, '') AS account, principal_id AS who,
           left(encode(source_ip, 'hex'), CASE WHEN encode(source_ip, 'hex') LIKE '00000000000000000000ffff%' THEN 30 ELSE 12 END) AS network
    FROM events
    WHERE event_time IS NOT NULL AND outcome = 'success' AND event_action LIKE 'consolesignin%' AND mfa IN ('yes', 'no')
      AND source_class = 'ip' AND lower(trim(user_type)) = 'ram-user' AND principal_id IS NOT NULL
),
followed AS (
    SELECT *, max(CASE WHEN mfa = 'yes' THEN event_time END) OVER (PARTITION BY account, who, network ORDER BY event_time RANGE BETWEEN INTERVAL '7 days' PRECEDING AND CURRENT ROW) AS checked_at
    FROM signed_in
),
-- The first sign-in of a client after the checked one is reported; the others say nothing new.
counted AS (
    SELECT *, row_number() OVER (PARTITION BY account, who, network, user_agent, checked_at ORDER BY event_time, event_key) AS number
    FROM followed
    WHERE mfa = 'no' AND checked_at IS NOT NULL
),
settings AS (
    SELECT coalesce(account_id, '') AS account, event_time AS set_at, lower(param(request_parameters, request_parameter_json, 'EnableSaveMFATicket')) AS allowed
    FROM events
    WHERE event_time IS NOT NULL AND outcome = 'success' AND event_action = 'setsecuritypreference' AND lower(service_name) IN ('ram', 'ims')
      AND param(request_parameters, request_parameter_json, 'EnableSaveMFATicket') IS NOT NULL
),
remembered AS (
    SELECT counted.event_key, max(checked_at) AS checked_at, max(number) AS number, last_value(allowed ORDER BY set_at) AS allowed
    FROM counted
    LEFT JOIN settings ON settings.account = counted.account AND set_at <= counted.event_time
    GROUP BY counted.event_key
    -- Where the account forbids it, nothing can have been remembered.
    HAVING coalesce(last_value(allowed ORDER BY set_at), 'true') = 'true'
),
judged AS (
    SELECT
        events.*,
        nullif(lower(trim(user_type)), '') AS kind,
        coalesce(lower(param(additional_event_data, 'loginType')) LIKE '%sso%', false) AS says_sso,
        coalesce(lower(param(additional_event_data, 'loginType')) LIKE '%sso%', false)
            OR lower(trim(user_type)) = 'ram-user' AND setting('sso_mode') = 'user_sso'
            OR lower(trim(user_type)) = 'cloudsso-user' AND setting('sso_mode') = 'cloudsso' AND setting('sso_asserts_mfa') = 'true' AS through_sso,
        remembered.checked_at,
        remembered.number,
        remembered.allowed
    FROM events
    LEFT JOIN remembered ON remembered.event_key = events.event_key
    WHERE outcome = 'success'
      AND mfa = 'no'
      AND (event_action LIKE 'consolesignin%' OR event_action = 'login')
)
SELECT
    judged.*,
    -- Where the identity provider asks for the second factor, all sign-ins say the same: one finding a day.
    CASE WHEN kind = 'root-account' OR kind IS NULL OR NOT through_sso THEN principal_id END AS who,
    CASE WHEN kind = 'root-account' OR kind IS NULL OR NOT through_sso THEN source_ip_address END AS place,
    CASE
        WHEN kind = 'root-account' THEN 'critical'
        WHEN kind IS NULL THEN 'low'
        WHEN through_sso THEN 'medium'
        WHEN checked_at IS NOT NULL THEN 'low'
        ELSE 'high'
    END AS severity,
    CASE
        WHEN kind = 'root-account' THEN NULL
        WHEN kind IS NULL THEN 'undetermined'
        WHEN through_sso THEN 'sso'
        WHEN checked_at IS NOT NULL THEN 'remembered'
    END AS variant,
    CASE
        WHEN kind = 'root-account' OR kind IS NULL THEN NULL
        WHEN through_sso AND setting('sso_asserts_mfa') = 'true' THEN 'sso_asserts_mfa: the identity provider asks for a second factor'
        WHEN NOT through_sso AND number > 1 THEN 'remembered second factor: the first such sign-in has a finding'
    END AS expected_because,
    concat_ws('; ',
        CASE
            WHEN kind IS NULL THEN coalesce('User ' || coalesce(user_name, login_account, principal_id) || ' signed in without a second factor', 'Somebody signed in without a second factor')
            WHEN kind = 'root-account' THEN 'The root account signed in without a second factor'
            WHEN kind = 'cloudsso-user' THEN coalesce('CloudSSO user ' || coalesce(user_name, principal_id) || ' signed in without a second factor', 'Somebody signed in without a second factor')
            ELSE coalesce('RAM user ' || coalesce(user_name, principal_id) || ' signed in without a second factor', 'Somebody signed in without a second factor')
        END,
        'The sign-in came from ' || source_ip_address,
        CASE
            WHEN kind = 'root-account' THEN NULL
            WHEN says_sso THEN 'The sign-in went through the identity provider'
            WHEN through_sso THEN 'The company signs in through an identity provider'
            WHEN checked_at IS NOT NULL THEN 'A second factor was checked from the same network on ' || CAST(checked_at AS VARCHAR)
        END,
        CASE WHEN NOT through_sso AND allowed = 'true' THEN 'The account lets browsers remember the second factor for seven days' END) AS why,
    concat_ws('; ',
        CASE WHEN kind IS NULL THEN 'Whether it was the root account' END,
        CASE WHEN through_sso AND setting('sso_asserts_mfa') <> 'true' THEN 'Whether the identity provider asked for a second factor' END,
        CASE WHEN kind = 'ram-user' AND NOT through_sso AND checked_at IS NOT NULL AND allowed IS NULL THEN 'Whether the account lets browsers remember the second factor' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the sign-in came from (source address: ' || source_class || ')' END) AS unknowns
FROM judged
WHERE (event_action LIKE 'consolesignin%' AND (kind IS NULL OR kind IN ('root-account', 'ram-user')))
   OR (event_action = 'login' AND lower(service_name) = 'cloudsso' AND (kind IS NULL OR kind = 'cloudsso-user'))
