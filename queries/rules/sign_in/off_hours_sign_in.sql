-- Sign-ins outside of business hours.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'mfa = ' || mfa,
        'from ' || source_ip_address,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action LIKE 'consolesignin%'
  AND outcome = 'success'
  AND off_hours(event_time)
