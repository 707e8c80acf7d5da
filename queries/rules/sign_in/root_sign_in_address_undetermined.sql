-- Root sign-ins whose source is not an IP address. It is unknown whether they come from inside or outside, which matters for root.
SELECT
    events.*,
    'source address is ' || source_class AS why,
    'source address (' || source_class || ')' AS unknowns
FROM events
WHERE event_action LIKE 'consolesignin%'
  AND outcome = 'success'
  AND lower(trim(user_type)) = 'root-account'
  AND source_class IN ('internal', 'service', 'missing')
