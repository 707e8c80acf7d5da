-- A sign-in with a RAM password although the company signs in through its identity provider. What is known: where roles or
-- CloudSSO users sign in (`sso_mode`), every RAM user's sign-in goes past the identity provider. Where RAM users sign in
-- through it, a second factor that the cloud itself checked belongs to a password; without one, nobody can tell. A `loginType` that
-- speaks of SSO is believed only where it fits: the vendor does not document its values.
WITH judged AS (
    SELECT
        events.*,
        coalesce(lower(param(additional_event_data, 'loginType')) LIKE '%sso%', false) AS says_sso,
        CASE
            WHEN setting('sso_mode') = 'user_sso' AND mfa <> 'yes' THEN 'undetermined'
            WHEN coalesce(lower(param(additional_event_data, 'loginType')) LIKE '%sso%', false) THEN 'says-sso'
        END AS variant
    FROM events
    WHERE event_action LIKE 'consolesignin%'
      AND outcome = 'success'
      AND lower(trim(user_type)) = 'ram-user'
      AND NOT (setting('sso_mode') = 'user_sso' AND mfa <> 'yes' AND coalesce(lower(param(additional_event_data, 'loginType')) LIKE '%sso%', false))
      AND setting('sso_mode') <> 'none'
),
-- Some people sign in like this every day, with a second factor: the company knows them after the first time.
known AS (
    SELECT event_key, lag(event_time) OVER (PARTITION BY account_id, principal_id ORDER BY event_time, event_key) AS before
    FROM judged
    WHERE variant IS NULL AND mfa = 'yes' AND event_time IS NOT NULL AND principal_id IS NOT NULL
)
SELECT
    judged.*,
    -- One finding a day for all sign-ins of which nobody can tell.
    CASE WHEN variant IS NULL THEN principal_id END AS who,
    CASE WHEN says_sso THEN 'low' WHEN variant IS NOT NULL THEN 'info' WHEN mfa = 'yes' AND coalesce(source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time), false) THEN 'info'
         WHEN mfa = 'yes' THEN 'medium' ELSE 'high' END AS severity,
    CASE
        WHEN variant = 'undetermined' AND setting('sso_asserts_mfa') = 'true' THEN 'sso_asserts_mfa: the identity provider asks for a second factor'
        WHEN known.before >= event_time - INTERVAL '30 days' THEN 'known user: the first such sign-in in 30 days has a finding'
    END AS expected_because,
    concat_ws('; ',
        CASE
            WHEN says_sso THEN coalesce('RAM user ' || coalesce(user_name, principal_id) || ' signed in, and the event says that it was through an identity provider', 'Somebody signed in, and the event says that it was through an identity provider')
            WHEN variant IS NOT NULL THEN coalesce('RAM user ' || coalesce(user_name, principal_id) || ' signed in, and the event does not say how', 'Somebody signed in, and the event does not say how')
            WHEN setting('sso_mode') = 'user_sso' THEN coalesce('RAM user ' || coalesce(user_name, principal_id) || ' signed in with a second factor of the cloud, not of the identity provider', 'Somebody signed in with a second factor of the cloud, not of the identity provider')
            ELSE coalesce('RAM user ' || coalesce(user_name, principal_id) || ' signed in with a password of the cloud', 'Somebody signed in with a password of the cloud')
        END,
        CASE setting('sso_mode')
            WHEN 'user_sso' THEN 'The company signs in as RAM users through an identity provider'
            WHEN 'role_sso' THEN 'The company signs in as roles through an identity provider'
            ELSE 'The company signs in through CloudSSO'
        END,
        'The sign-in came from ' || source_ip_address,
        CASE mfa WHEN 'no' THEN 'No second factor was used' WHEN 'yes' THEN CASE WHEN says_sso THEN 'A second factor was used' END END) AS why,
    concat_ws('; ',
        CASE WHEN variant IS NOT NULL THEN 'Whether the sign-in went through the identity provider' END,
        CASE WHEN mfa = 'unknown' THEN 'Whether a second factor was used' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the sign-in came from (source address: ' || source_class || ')' END) AS unknowns
FROM judged
LEFT JOIN known ON known.event_key = judged.event_key
