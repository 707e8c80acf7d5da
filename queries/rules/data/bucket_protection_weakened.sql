-- Encryption, logging, policy or versioning of a bucket was removed.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'bucket ' || coalesce(param(request_parameters, 'bucketName'), resource_name),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('deletebucketencryption', 'deletebucketlogging', 'deletebucketpolicy', 'deletebucketinventory', 'putbucketversioning', 'abortbucketworm')
  AND lower(service_name) = 'oss'
  AND outcome = 'success'
  AND (event_action <> 'putbucketversioning' OR lower(request_parameters) LIKE '%suspended%')
