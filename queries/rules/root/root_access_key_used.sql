-- Calls signed with a long-term AccessKey of the root account, successful or not.
SELECT
    events.*,
    CASE
        WHEN outcome <> 'success' THEN 'medium'
        WHEN lower(event_rw) = 'read' THEN 'high'
        ELSE 'critical'
    END AS severity,
    concat_ws('; ',
        'AccessKey ' || mask_key(access_key_id) || ' of the root account was used',
        CASE
            WHEN outcome = 'success' AND lower(event_rw) = 'read' THEN 'The call ' || event_name || ' of ' || service_name || ' read something'
            WHEN outcome = 'success' THEN 'The call ' || event_name || ' of ' || service_name || ' changed something'
            ELSE 'The call ' || event_name || ' of ' || service_name || ' did not succeed'
        END,
        'The call came from ' || source_ip_address) AS why,
    concat_ws('; ',
        CASE WHEN event_rw IS NULL THEN 'Whether the call reads or writes (counted as a write)' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM events
WHERE lower(trim(user_type)) = 'root-account'
  AND credential_kind = 'long_term'
  AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
