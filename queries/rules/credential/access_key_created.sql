-- A long-term key was created. Critical for another user or for root.
SELECT
    events.*,
    CASE
        WHEN lower(user_type) = 'root-account' THEN 'critical'
        WHEN split_part(coalesce(param(request_parameters, 'UserName'), param(request_parameters, 'UserPrincipalName'), user_name), '@', 1) <> user_name THEN 'critical'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        'event = ' || event_name,
        'for user ' || coalesce(param(request_parameters, 'UserName'), param(request_parameters, 'UserPrincipalName'), '(not said: their own)'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action = 'createaccesskey'
  AND lower(service_name) IN ('ram', 'ims')
  AND outcome = 'success'
