-- Sign-ins of RAM users that do not say whether MFA was used: AT-LOGIN-001 cannot judge them. Off by default, because sign-ins
-- through an identity provider carry no flag.
SELECT
    events.*,
    concat_ws('; ',
        coalesce('RAM user ' || coalesce(user_name, principal_id) || ' signed in, and the event does not say whether a second factor was used', 'Somebody signed in, and the event does not say whether a second factor was used'),
        'The sign-in came from ' || source_ip_address) AS why,
    concat_ws('; ',
        'Whether a second factor was used',
        CASE WHEN source_class <> 'ip' THEN 'Where the sign-in came from (source address: ' || source_class || ')' END) AS unknowns
FROM events
WHERE event_action LIKE 'consolesignin%'
  AND outcome = 'success'
  AND mfa = 'unknown'
  AND lower(trim(user_type)) = 'ram-user'
