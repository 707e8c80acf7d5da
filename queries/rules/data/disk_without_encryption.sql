-- A disk was created, alone or with an instance, and the call does not request encryption.
WITH asked AS (
    SELECT
        events.*,
        coalesce(param(request_parameters, 'Encrypted'), param(request_parameters, 'SystemDisk.Encrypted')) AS encrypted,
        -- Each data disk of an instance has its own setting.
        regexp_count(request_parameters, '"DataDisk\.[0-9]+\.(Size|SnapshotId)"') > regexp_count(lower(request_parameters), '"datadisk\.[0-9]+\.encrypted":"?true') AS some_disk_not
    FROM events
    WHERE event_action IN ('createdisk', 'runinstances', 'createinstance')
      AND lower(service_name) = 'ecs'
      AND outcome = 'success'
)
SELECT
    asked.*,
    concat_ws('; ',
        'event = ' || event_name,
        'Encrypted = ' || coalesce(encrypted, 'not said'),
        CASE WHEN some_disk_not THEN 'of a further disk: not said' END,
        'by ' || coalesce(user_name, principal_id)) AS why,
    -- The region may encrypt by default, and a disk from a snapshot inherits its encryption.
    'encryption by default' AS unknowns
FROM asked
WHERE coalesce(lower(encrypted), '') <> 'true' OR some_disk_not
