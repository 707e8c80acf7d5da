-- A principal of an account that is not the company's assumed a role of this account.
SELECT
    events.*,
    concat_ws('; ',
        'Account ' || account_id || ' took the role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleArn'), '?') || ' of account ' || recipient_account_id) AS why,
    concat_ws('; ',
        -- Where not even the account itself is in the list, there is no list to tell strangers by.
        CASE WHEN NOT coalesce(matches(recipient_account_id, 'accounts'), false) THEN 'Whether the account is one of the company (the parameter accounts does not list this one)' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM events
WHERE event_action = 'assumerole'
  AND lower(service_name) = 'sts'
  AND outcome = 'success'
  AND account_id <> recipient_account_id
  AND NOT coalesce(matches(account_id, 'accounts'), false)
  AND coalesce(lower(trim(user_type)), '') <> 'system'
