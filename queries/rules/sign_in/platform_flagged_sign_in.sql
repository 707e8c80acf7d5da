-- A sign-in that the platform itself reports as suspicious.
SELECT
    events.*,
    concat_ws('; ',
        coalesce('The platform calls the sign-in of user ' || coalesce(user_name, login_account, principal_id) || ' suspicious', 'The platform calls the sign-in suspicious'),
        'The sign-in came from ' || source_ip_address,
        CASE WHEN mfa = 'yes' THEN 'A second factor was used' WHEN mfa = 'no' THEN 'No second factor was used' END) AS why,
    concat_ws('; ',
        CASE WHEN mfa = 'unknown' THEN 'Whether a second factor was used' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the sign-in came from (source address: ' || source_class || ')' END) AS unknowns
FROM events
WHERE event_action LIKE 'consolesignin%'
  AND outcome = 'success'
  AND lower(param(additional_event_data, 'suspiciousLogin')) = 'true'
