-- Creation, change or deletion of a RAM role, and changes of its policies.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'on ' || resource_name,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createrole', 'updaterole', 'deleterole', 'createservicelinkedrole', 'deleteservicelinkedrole', 'attachpolicytorole', 'detachpolicyfromrole')
  AND lower(service_name) IN ('ram', 'ims', 'resourcemanager')
  AND outcome = 'success'
  AND NOT coalesce(matches(role_name, 'automation_roles'), false)
