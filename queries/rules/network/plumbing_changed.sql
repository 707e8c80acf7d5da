-- Changes of routes, networks, their access lists and security groups.
SELECT
    events.*,
    concat_ws('; ',
        event_name || ' changed the network',
        'Resource ' || resource_name,
        'Destination ' || param(request_parameters, request_parameter_json, 'DestinationCidrBlock')) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createrouteentry', 'createrouteentries', 'deleterouteentry', 'deleterouteentries', 'modifyrouteentry', 'createroutetable', 'deleteroutetable', 'associateroutetable', 'unassociateroutetable',
        'createvpc', 'deletevpc', 'modifyvpcattribute', 'associatevpccidrblock', 'unassociatevpccidrblock', 'createvswitch', 'deletevswitch', 'modifyvswitchattribute',
        'createnetworkacl', 'deletenetworkacl', 'updatenetworkaclentries', 'associatenetworkacl', 'unassociatenetworkacl',
        'createsecuritygroup', 'deletesecuritygroup', 'joinsecuritygroup', 'leavesecuritygroup', 'modifysecuritygrouppolicy', 'modifysecuritygroupegressrule', 'revokesecuritygroup', 'revokesecuritygroupegress')
  AND lower(service_name) IN ('vpc', 'ecs')
  AND outcome = 'success'
  AND NOT coalesce(matches(role_name, 'automation_roles'), false)
