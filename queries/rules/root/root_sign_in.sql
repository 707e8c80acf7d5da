-- Every successful sign-in of the root account, with or without MFA.
SELECT
    events.*,
    concat_ws('; ',
        'The root account signed in to the console',
        CASE WHEN mfa = 'yes' THEN 'A second factor was used' WHEN mfa = 'no' THEN 'No second factor was used' END,
        'The sign-in came from ' || source_ip_address) AS why,
    concat_ws('; ',
        CASE WHEN mfa = 'unknown' THEN 'Whether a second factor was used' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the sign-in came from (source address: ' || source_class || ')' END) AS unknowns
FROM events
WHERE event_action LIKE 'consolesignin%'
  AND lower(trim(user_type)) = 'root-account'
  AND outcome = 'success'
