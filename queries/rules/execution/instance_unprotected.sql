-- New instances without the Security Center agent, or with password login.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        CASE WHEN lower(param(request_parameters, 'SecurityEnhancementStrategy')) = 'deactive' THEN 'without the Security Center agent' END,
        CASE WHEN request_parameters LIKE '%"Password"%' OR lower(param(request_parameters, 'PasswordInherit')) = 'true' THEN 'with a password instead of a key pair' END,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('runinstances', 'createinstance')
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
  AND (lower(param(request_parameters, 'SecurityEnhancementStrategy')) = 'deactive'
    OR request_parameters LIKE '%"Password"%'
    OR lower(param(request_parameters, 'PasswordInherit')) = 'true')
