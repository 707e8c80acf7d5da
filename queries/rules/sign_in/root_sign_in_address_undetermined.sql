-- Root sign-ins whose address the trail does not show: neither inside nor outside, and worth knowing for root.
SELECT
    events.*,
    'source address is ' || source_class AS why,
    'source address (' || source_class || ')' AS unknowns
FROM events
WHERE event_action LIKE 'consolesignin%'
  AND outcome = 'success'
  AND lower(trim(user_type)) = 'root-account'
  AND source_class IN ('internal', 'service', 'missing')
