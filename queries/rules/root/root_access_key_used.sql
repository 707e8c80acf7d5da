-- Calls signed with a long-term AccessKey of the root account, successful or not.
SELECT
    events.*,
    CASE
        WHEN outcome <> 'success' THEN 'medium'
        WHEN lower(event_rw) = 'read' THEN 'high'
        ELSE 'critical'
    END AS severity,
    concat_ws('; ',
        'identity = root-account',
        'credential_kind = long_term',
        'key = ' || mask_key(access_key_id),
        'outcome = ' || outcome,
        CASE WHEN lower(event_rw) = 'read' THEN 'read' ELSE 'write' END,
        'service ' || service_name,
        'region ' || acs_region) AS why,
    concat_ws('; ',
        CASE WHEN event_rw IS NULL THEN 'read or write (counted as write)' END,
        CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END) AS unknowns
FROM events
WHERE lower(trim(user_type)) = 'root-account'
  AND credential_kind = 'long_term'
  AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
