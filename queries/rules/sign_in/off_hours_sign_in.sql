-- Sign-ins outside of business hours.
SELECT
    events.*,
    concat_ws('; ',
        coalesce('User ' || coalesce(user_name, login_account, principal_id) || ' signed in outside business hours', 'Somebody signed in outside business hours'),
        'The sign-in came from ' || source_ip_address,
        CASE WHEN mfa = 'yes' THEN 'A second factor was used' WHEN mfa = 'no' THEN 'No second factor was used' END) AS why,
    concat_ws('; ',
        CASE WHEN mfa = 'unknown' THEN 'Whether a second factor was used' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the sign-in came from (source address: ' || source_class || ')' END) AS unknowns
FROM events
WHERE (event_action LIKE 'consolesignin%'
    OR event_action = 'login' AND lower(service_name) = 'cloudsso'
    OR event_action = 'assumerolewithsaml' AND lower(service_name) = 'sts')
  AND outcome = 'success'
  AND off_hours(event_time)
