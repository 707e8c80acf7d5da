-- A disk is made and the call does not ask for encryption.
SELECT
    events.*,
    concat_ws('; ', 'event = ' || event_name, 'Encrypted = ' || coalesce(param(request_parameters, 'Encrypted'), 'not said'), 'by ' || coalesce(user_name, principal_id)) AS why,
    -- The region may encrypt by default, and a snapshot passes on what it has.
    'encryption by default' AS unknowns
FROM events
WHERE event_action = 'createdisk'
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
  AND coalesce(lower(param(request_parameters, 'Encrypted')), '') <> 'true'
