-- Something is changed in a region that the company has not named as its own.
SELECT
    events.*,
    concat_ws('; ', 'region ' || acs_region, 'not among the allowed ones', 'event = ' || event_name, 'service ' || service_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE acs_region IS NOT NULL
  AND outcome = 'success'
  -- What does not say that it reads may have changed something.
  AND coalesce(lower(event_rw), '') <> 'read'
  AND NOT matches(acs_region, 'allowed_regions')
  AND NOT coalesce(is_global, false)
  -- These are logged once, wherever their home is.
  AND coalesce(lower(service_name), '') NOT IN ('ram', 'ims', 'sts', 'aassub', 'aascustomer', 'cloudsso', 'resourcemanager', 'actiontrail')
  AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
