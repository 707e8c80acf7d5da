-- A bucket that everybody may read, or whose new ACL is not in the event.
SELECT
    events.*,
    CASE WHEN event_action = 'putbucketacl' AND coalesce(param(request_parameters, 'acl'), param(request_parameters, 'x-oss-acl')) IS NULL THEN 'medium' ELSE 'high' END AS severity,
    concat_ws('; ',
        'event = ' || event_name,
        'bucket ' || coalesce(param(request_parameters, 'bucketName'), resource_name),
        'acl = ' || coalesce(param(request_parameters, 'acl'), param(request_parameters, 'x-oss-acl'), CASE WHEN event_action = 'putbucketacl' THEN '(not said: look)' END),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('putbucketacl', 'putbucketpolicy', 'putbucket')
  AND lower(service_name) = 'oss'
  AND outcome = 'success'
  AND (lower(coalesce(param(request_parameters, 'acl'), param(request_parameters, 'x-oss-acl'))) IN ('public-read', 'public-read-write')
    OR event_action = 'putbucketpolicy' AND regexp_like(request_parameters, 'Principal\\*"\s*:\s*\[?\s*\\*"\*')
    OR event_action = 'putbucketacl' AND coalesce(param(request_parameters, 'acl'), param(request_parameters, 'x-oss-acl')) IS NULL)
