-- Writes by the root account through console sessions and temporary keys. Another rule covers its long-term keys.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'credential_kind = ' || credential_kind,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE lower(trim(user_type)) = 'root-account'
  AND credential_kind <> 'long_term'
  AND coalesce(lower(event_rw), '') <> 'read'
  AND outcome = 'success'
  AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
  AND coalesce(event_action, '') NOT LIKE 'consolesign%'
