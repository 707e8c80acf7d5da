-- Every successful sign-in of the root account, with or without MFA.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'mfa = ' || mfa,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action = 'consolesignin'
  AND lower(trim(user_type)) = 'root-account'
  AND outcome = 'success'
