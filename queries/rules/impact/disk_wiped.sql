-- A disk was reinitialized, replaced or deleted.
SELECT
    events.*,
    concat_ws('; ',
        CASE
            WHEN event_action LIKE 'delete%' THEN 'Deleted disk ' || coalesce(param(request_parameters, request_parameter_json, 'DiskId'), resource_name, '-')
            WHEN event_action LIKE 'replace%' THEN 'Replaced the system disk of ' || coalesce(param(request_parameters, request_parameter_json, 'InstanceId'), resource_name, '-')
            ELSE 'Initialised disk ' || coalesce(param(request_parameters, request_parameter_json, 'DiskId'), array_to_string(values_at(request_parameters, request_parameter_json, 'Disk.DiskId'), ', '),
                param(request_parameters, request_parameter_json, 'InstanceId'), resource_name, '-') || ' again'
        END) AS why,
    CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END AS unknowns
FROM events
WHERE (lower(service_name) = 'ecs' AND event_action IN ('reinitdisk', 'reinitdisks', 'replacesystemdisk', 'deletedisk')
    OR lower(service_name) = 'rds' AND event_action IN ('deletercdisk', 'replacercinstancesystemdisk')
    OR lower(service_name) = 'ens' AND event_action IN ('deletedisk', 'reinitinstance'))
  AND outcome = 'success'
  AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
  AND coalesce(lower(user_type), '') <> 'system'
