-- A sign-in with a RAM password although the company signs in through its identity provider.
SELECT
    events.*,
    concat_ws('; ', 'event = ' || event_name, 'sso_mode = ' || setting('sso_mode'), 'mfa = ' || mfa, 'from ' || source_ip_address) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action LIKE 'consolesignin%'
  AND outcome = 'success'
  AND lower(trim(user_type)) = 'ram-user'
  AND NOT coalesce(lower(param(additional_event_data, 'loginType')) LIKE '%sso%', false)
  AND setting('sso_mode') <> 'none'
