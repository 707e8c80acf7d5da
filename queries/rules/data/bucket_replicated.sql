-- A bucket gets a replication rule: its new objects are also copied elsewhere. The vendor's events do not say where to.
SELECT
    events.*,
    concat_ws('; ',
        'Set up the replication of a bucket',
        'The bucket is ' || coalesce(values_at(referenced_resources, 'ACS::OSS::Bucket')[1], resource_name, CASE WHEN event_source LIKE '%.oss-%' THEN split_part(event_source, '.', 1) END, param(request_parameters, request_parameter_json, 'bucketName'), param(request_parameters, request_parameter_json, 'bucket')),
        'The copies go to the bucket ' || array_to_string(coalesce(values_at(request_parameters, request_parameter_json, 'ReplicationConfiguration.Rule.Destination.Bucket'), values_at(request_parameters, request_parameter_json, 'Rule.Destination.Bucket')), ', ')) AS why,
    nullif(concat_ws('; ',
        CASE WHEN coalesce(values_at(request_parameters, request_parameter_json, 'ReplicationConfiguration.Rule.Destination.Bucket'), values_at(request_parameters, request_parameter_json, 'Rule.Destination.Bucket')) IS NULL THEN 'The event does not say where the copies go' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM events
WHERE event_action = 'putbucketreplication'
  AND lower(service_name) = 'oss'
  AND outcome = 'success'
