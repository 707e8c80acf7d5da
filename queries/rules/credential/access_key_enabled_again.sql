-- Keys that were disabled and are enabled again.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'key ' || mask_key(param(request_parameters, 'UserAccessKeyId')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE (event_action = 'restoreaccesskeyfromrecyclebin'
   OR event_action = 'updateaccesskey' AND lower(param(request_parameters, 'Status')) = 'active')
  AND lower(service_name) IN ('ram', 'ims')
  AND outcome = 'success'
