-- A disk is made, by itself or with an instance, and the call does not ask for encryption.
WITH asked AS (
    SELECT
        events.*,
        coalesce(param(request_parameters, 'Encrypted'), param(request_parameters, 'SystemDisk.Encrypted')) AS encrypted,
        -- Of an instance's further disks each says for itself.
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
    -- The region may encrypt by default, and a snapshot passes on what it has.
    'encryption by default' AS unknowns
FROM asked
WHERE coalesce(lower(encrypted), '') <> 'true' OR some_disk_not
