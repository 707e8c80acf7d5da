-- A bucket gets a replication rule: its new objects are also copied elsewhere.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'bucket ' || coalesce(param(request_parameters, 'bucketName'), resource_name),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action = 'putbucketreplication'
  AND lower(service_name) = 'oss'
  AND outcome = 'success'
