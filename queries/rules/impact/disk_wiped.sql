-- A disk was reinitialized, replaced or deleted.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'disk ' || coalesce(param(request_parameters, 'DiskId'), param(request_parameters, 'InstanceId')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('reinitdisk', 'reinitdisks', 'replacesystemdisk', 'deletedisk')
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
  AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
  AND coalesce(lower(user_type), '') <> 'system'
