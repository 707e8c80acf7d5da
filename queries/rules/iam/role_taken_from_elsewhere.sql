-- A principal of another account assumed a role of this account.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'by account ' || account_id,
        'role ' || param(request_parameters, 'RoleArn'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action = 'assumerole'
  AND lower(service_name) = 'sts'
  AND outcome = 'success'
  AND account_id <> recipient_account_id
  AND coalesce(lower(trim(user_type)), '') <> 'system'
