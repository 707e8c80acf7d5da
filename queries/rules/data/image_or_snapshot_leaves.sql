-- Images or snapshots are shared with another account or exported to a bucket.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'image ' || coalesce(param(request_parameters, 'ImageId'), param(request_parameters, 'SnapshotId')),
        'to account ' || param(request_parameters, 'AddAccount.1'),
        CASE WHEN lower(param(request_parameters, 'IsPublic')) = 'true' THEN 'public' END,
        'to bucket ' || param(request_parameters, 'OSSBucket'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('modifyimagesharepermission', 'exportimage', 'exportsnapshot')
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
  AND (event_action <> 'modifyimagesharepermission'
    OR param(request_parameters, 'AddAccount.1') IS NOT NULL
    OR lower(param(request_parameters, 'IsPublic')) = 'true')
