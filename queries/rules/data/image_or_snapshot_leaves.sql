-- Images or snapshots are shared with another account or exported to a bucket.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'image ' || coalesce(param(request_parameters, request_parameter_json, 'ImageId'), param(request_parameters, request_parameter_json, 'SnapshotId')),
        'to account ' || param(request_parameters, request_parameter_json, 'AddAccount.1'),
        CASE WHEN lower(param(request_parameters, request_parameter_json, 'IsPublic')) = 'true' THEN 'public' END,
        'to bucket ' || param(request_parameters, request_parameter_json, 'OSSBucket'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('modifyimagesharepermission', 'exportimage', 'exportsnapshot')
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
  AND (event_action <> 'modifyimagesharepermission'
    OR param(request_parameters, request_parameter_json, 'AddAccount.1') IS NOT NULL
    OR lower(param(request_parameters, request_parameter_json, 'IsPublic')) = 'true')
