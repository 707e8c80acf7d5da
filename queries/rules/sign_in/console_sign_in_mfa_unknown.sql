-- Console sign-ins that do not say whether MFA was used. Off by default: it shows the sign-ins that AT-LOGIN-001 cannot judge.
SELECT
    events.*,
    'mfa = unknown' AS why,
    'mfa' AS unknowns
FROM events
WHERE event_action LIKE 'consolesignin%'
  AND outcome = 'success'
  AND mfa = 'unknown'
  AND lower(trim(user_type)) IN ('root-account', 'ram-user')
