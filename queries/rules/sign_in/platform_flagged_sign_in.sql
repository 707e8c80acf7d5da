-- A sign-in that the platform itself reports as suspicious.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'suspiciousLogin = true',
        'mfa = ' || mfa,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action LIKE 'consolesignin%'
  AND outcome = 'success'
  AND lower(param(additional_event_data, 'suspiciousLogin')) = 'true'
