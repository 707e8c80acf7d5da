-- A change with a long-term key from an address outside of the company's ranges.
SELECT
    events.*,
    concat_ws('; ', 'key ' || mask_key(access_key_id), 'from ' || source_ip_address || ', in no corporate range', 'event = ' || event_name, 'outcome = ' || outcome) AS why,
    CASE WHEN event_rw IS NULL THEN 'read or write (counted as write)' END AS unknowns
FROM events
WHERE credential_kind = 'long_term'
  AND source_class = 'ip'
  AND coalesce(lower(event_rw), 'write') <> 'read'
  AND outcome = 'success'
  AND NOT ip_in(source_ip, 'corporate_cidrs', event_time)
