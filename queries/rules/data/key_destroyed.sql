-- A KMS key is destroyed or about to be destroyed; data encrypted with it becomes unreadable.
SELECT
    events.*,
    CASE
        WHEN event_action = 'deletekeymaterial' THEN 'critical'
        WHEN TRY_CAST(param(request_parameters, 'PendingWindowInDays') AS BIGINT) <= 7 THEN 'critical'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        'event = ' || event_name,
        'key ' || coalesce(param(request_parameters, 'KeyId'), param(request_parameters, 'ProtectedResourceArn')),
        'gone after ' || param(request_parameters, 'PendingWindowInDays') || ' days',
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('schedulekeydeletion', 'disablekey', 'deletekeymaterial', 'setdeletionprotection')
  AND lower(service_name) = 'kms'
  AND outcome = 'success'
  AND (event_action <> 'setdeletionprotection' OR lower(param(request_parameters, 'EnableDeletionProtection')) = 'false')
