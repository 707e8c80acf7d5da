-- A change in a region that is not in `allowed_regions`.
SELECT
    events.*,
    concat_ws('; ', 'region ' || acs_region, 'not among the allowed ones', 'event = ' || event_name, 'service ' || service_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
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
