-- Three or more buckets deleted by one principal within an hour. Lifecycle rules that let objects expire are AT-DATA-006.
WITH calls AS (
    SELECT
        events.*,
        coalesce(role_name, principal_id, user_name, '') AS who,
        -- What the service says before what the caller says.
        coalesce(array_to_string(values_at(referenced_resources, NULL, 'ACS::OSS::Bucket'), ', '), resource_name, param(request_parameters, request_parameter_json, 'bucketName'),
            param(request_parameters, request_parameter_json, 'bucket')) AS bucket
    FROM events
    WHERE outcome = 'success'
      AND lower(service_name) = 'oss'
      AND event_action = 'deletebucket'
),
counted AS (
    SELECT event_key, account_id, who, event_time,
           count(DISTINCT coalesce(bucket, encode(event_key, 'hex'))) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND CURRENT ROW) AS in_window
    FROM calls
    WHERE event_time IS NOT NULL
),
marked AS (
    SELECT event_key, max(in_window) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '1 hour' FOLLOWING) AS most
    FROM counted
)
SELECT
    calls.*,
    concat_ws('; ',
        'Deleted ' || CAST(most AS VARCHAR) || ' buckets within an hour',
        'The bucket is ' || bucket) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN bucket IS NULL THEN 'The event does not say which resource' END) AS unknowns
FROM calls
JOIN marked ON marked.event_key = calls.event_key
WHERE most >= 3
