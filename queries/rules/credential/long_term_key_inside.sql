-- A program on an instance that signs with a long-term key instead of the instance's role.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'key ' || mask_key(access_key_id),
        'through ' || vpc_id,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE credential_kind = 'long_term'
  AND coalesce(vpc_id, '') <> ''
  AND outcome = 'success'
  AND coalesce(lower(trim(user_type)), '') <> 'root-account'
