-- Sign-ins of the root account that do not say whether MFA was used: AT-LOGIN-001 cannot judge them.
SELECT
    events.*,
    concat_ws('; ',
        'The root account signed in, and the event does not say whether a second factor was used',
        'The sign-in came from ' || source_ip_address) AS why,
    concat_ws('; ',
        'Whether a second factor was used',
        CASE WHEN source_class <> 'ip' THEN 'Where the sign-in came from (source address: ' || source_class || ')' END) AS unknowns
FROM events
WHERE event_action LIKE 'consolesignin%'
  AND outcome = 'success'
  AND mfa = 'unknown'
  AND lower(trim(user_type)) = 'root-account'
