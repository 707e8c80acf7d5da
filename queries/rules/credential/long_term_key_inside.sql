-- A program on an instance that signs with a long-term key instead of the instance's role.
SELECT
    events.*,
    concat_ws('; ',
        'AccessKey ' || mask_key(access_key_id) || ' was used from inside the VPC ' || vpc_id,
        'The call was ' || event_name || ' of ' || service_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE credential_kind = 'long_term'
  AND coalesce(vpc_id, '') <> ''
  AND outcome = 'success'
  AND coalesce(lower(trim(user_type)), '') <> 'root-account'
