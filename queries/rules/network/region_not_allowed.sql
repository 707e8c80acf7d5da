-- A change in a region that is not in `allowed_regions`.
SELECT
    events.*,
    concat_ws('; ', coalesce(event_name || ' of ' || service_name || ' changed something in region ' || acs_region, 'Something was changed in region ' || acs_region), 'The company does not allow this region') AS why,
    nullif(concat_ws('; ', CASE WHEN event_rw IS NULL THEN 'Whether the call changes anything (counted as a change)' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END), '') AS unknowns
FROM events
WHERE acs_region IS NOT NULL
  AND outcome = 'success'
  -- An event that does not say that it only reads may be a change.
  AND coalesce(lower(event_rw), '') <> 'read'
  AND NOT matches(acs_region, 'allowed_regions')
  AND NOT coalesce(is_global, false)
  -- Global services log once, in their home region.
  AND coalesce(lower(service_name), '') NOT IN ('ram', 'ims', 'sts', 'aassub', 'aascustomer', 'cloudsso', 'resourcemanager', 'actiontrail')
  AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
