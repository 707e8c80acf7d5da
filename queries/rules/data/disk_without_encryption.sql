-- A disk was created, alone or with an instance, and the call does not request encryption.
WITH asked AS (
    SELECT
        events.*,
        -- Each operation has parameters of its own. One of another operation means nothing.
        CASE WHEN event_action = 'createdisk' THEN param(request_parameters, request_parameter_json, 'Encrypted') ELSE param(request_parameters, request_parameter_json, 'SystemDisk.Encrypted') END AS encrypted,
        CASE WHEN event_action <> 'createdisk' THEN entries(request_parameters, request_parameter_json, 'DataDisk') END AS data_disks
    FROM events
    WHERE event_action IN ('createdisk', 'runinstances', 'createinstance')
      AND lower(service_name) = 'ecs'
      AND outcome = 'success'
),
-- Each data disk of an instance has its own setting.
disks AS (
    SELECT event_key, unnest(data_disks) AS disk
    FROM asked
    WHERE data_disks IS NOT NULL
),
plain AS (
    SELECT event_key, count(*) AS disks
    FROM disks
    WHERE lower(coalesce(param(disk, 'Encrypted'), '')) <> 'true'
    GROUP BY event_key
)
SELECT
    asked.*,
    concat_ws('; ',
        CASE WHEN event_action = 'createdisk' THEN 'Made a disk without asking for encryption' ELSE 'Made an instance whose disks are not all encrypted' END,
        'The setting of encryption is ' || encrypted,
        CAST(plain.disks AS VARCHAR) || ' data disks are without encryption') AS why,
    'The region may encrypt disks by default, and a disk from a snapshot inherits its encryption' AS unknowns
FROM asked
LEFT JOIN plain ON plain.event_key = asked.event_key
WHERE coalesce(lower(encrypted), '') <> 'true' OR plain.disks > 0
