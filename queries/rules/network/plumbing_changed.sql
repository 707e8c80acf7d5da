-- Changes of routes.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'on ' || resource_name,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createrouteentry', 'createrouteentries', 'deleterouteentry', 'deleterouteentries', 'modifyrouteentry', 'associateroutetable', 'unassociateroutetable', 'createvpc', 'deletevpc', 'associatevpccidrblock', 'unassociatevpccidrblock', 'updatenetworkaclentries', 'createsecuritygroup', 'deletesecuritygroup', 'joinsecuritygroup', 'leavesecuritygroup')
  AND lower(service_name) IN ('vpc', 'ecs')
  AND outcome = 'success'
  AND NOT coalesce(matches(role_name, 'automation_roles'), false)
