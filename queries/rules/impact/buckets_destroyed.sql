-- Three or more buckets deleted by one principal within an hour, or a lifecycle rule that lets objects expire within a week. OSS events carry no
-- request parameters as a rule: then it is only said that the lifecycle was changed.
WITH calls AS (
    SELECT
        events.*,
        coalesce(role_name, principal_id, user_name, '') AS who,
        event_action = 'putbucketlifecycle' AS sets_lifecycle,
        -- What the service says before what the caller says.
        coalesce(array_to_string(values_at(referenced_resources, NULL, 'ACS::OSS::Bucket'), ', '), resource_name, param(request_parameters, request_parameter_json, 'bucketName'),
            param(request_parameters, request_parameter_json, 'bucket')) AS bucket,
        array_concat(coalesce(values_at(request_parameters, request_parameter_json, 'LifecycleConfiguration.Rule.Expiration.Days'), make_array()),
            coalesce(values_at(request_parameters, request_parameter_json, 'Rule.Expiration.Days'), make_array()), coalesce(values_at(request_parameters, request_parameter_json, 'Expiration.Days'), make_array())) AS days
    FROM events
    WHERE outcome = 'success'
      AND lower(service_name) = 'oss'
      AND event_action IN ('deletebucket', 'putbucketlifecycle')
),
counted AS (
    SELECT event_key, account_id, who, event_time,
           count(DISTINCT coalesce(bucket, encode(event_key, 'hex'))) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND CURRENT ROW) AS in_window
    FROM calls
    WHERE NOT sets_lifecycle AND event_time IS NOT NULL
),
marked AS (
    SELECT event_key, max(in_window) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '1 hour' FOLLOWING) AS most
    FROM counted
),
shortest AS (
    SELECT event_key, min(try_cast(day AS BIGINT)) AS fewest FROM (SELECT event_key, unnest(days) AS day FROM calls WHERE sets_lifecycle) GROUP BY event_key
)
SELECT
    calls.*,
    CASE WHEN sets_lifecycle AND fewest IS NULL THEN 'lifecycle-undetermined' WHEN sets_lifecycle THEN 'lifecycle' END AS variant,
    CASE WHEN NOT sets_lifecycle THEN 'high' WHEN fewest <= 1 THEN 'high' WHEN fewest IS NULL THEN 'info' ELSE 'low' END AS severity,
    concat_ws('; ',
        CASE
            WHEN NOT sets_lifecycle THEN 'Deleted ' || CAST(most AS VARCHAR) || ' buckets within an hour'
            WHEN fewest IS NULL THEN 'Changed the lifecycle of a bucket, and the event does not say to what'
            ELSE 'Objects of the bucket expire after ' || CAST(fewest AS VARCHAR) || ' day(s)'
        END,
        'The bucket is ' || bucket) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN sets_lifecycle AND fewest IS NULL THEN 'The lifecycle rules are unknown' END,
        CASE WHEN bucket IS NULL THEN 'The event does not say which resource' END) AS unknowns
FROM calls
LEFT JOIN marked ON marked.event_key = calls.event_key
LEFT JOIN shortest ON shortest.event_key = calls.event_key
WHERE most >= 3 OR sets_lifecycle AND coalesce(fewest <= 7, true)
