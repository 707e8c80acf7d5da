-- A machine became reachable from the internet.
SELECT
    events.*,
    concat_ws('; ',
        coalesce('Attached a public address to ' || CASE event_action
            WHEN 'allocateipv6internetbandwidth' THEN param(request_parameters, request_parameter_json, 'Ipv6AddressId')
            WHEN 'associateeipaddressbatch' THEN param(request_parameters, request_parameter_json, 'BindedInstanceId')
            WHEN 'associateanycasteipaddress' THEN param(request_parameters, request_parameter_json, 'BindInstanceId')
            ELSE param(request_parameters, request_parameter_json, 'InstanceId') END, 'Attached a public address to an instance'),
        'Public address ' || coalesce(param(request_parameters, request_parameter_json, 'AllocationId'), param(request_parameters, request_parameter_json, 'AnycastId'),
            array_to_string(values_at(request_parameters, request_parameter_json, 'InstanceIds'), ','))) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('allocatepublicipaddress', 'associateeipaddress', 'associateeipaddressbatch', 'associateeipaddresswithrcinstance',
        'associateenseipaddress', 'associateanycasteipaddress', 'allocateipv6internetbandwidth', 'modifyinstancenetworkspec')
  AND lower(service_name) IN ('ecs', 'vpc', 'eip', 'rds', 'ens', 'eipanycast')
  AND outcome = 'success'
  AND (event_action <> 'modifyinstancenetworkspec' OR any_is(values_at(request_parameters, request_parameter_json, 'AllocatePublicIp'), 'equals', 'true'))
  -- A NAT gateway or a load balancer is what should face the internet. Its id says so, whatever else the call says: each operation
  -- has one parameter for it, and whoever calls can add the others.
  AND NOT coalesce(regexp_like(CASE event_action
        WHEN 'allocateipv6internetbandwidth' THEN ''
        WHEN 'associateeipaddressbatch' THEN array_to_string(values_at(request_parameters, request_parameter_json, 'BindedInstanceId'), ',')
        WHEN 'associateanycasteipaddress' THEN array_to_string(values_at(request_parameters, request_parameter_json, 'BindInstanceId'), ',')
        ELSE array_to_string(values_at(request_parameters, request_parameter_json, 'InstanceId'), ',') END, '^(ngw|lb|alb|nlb)-[^,]*(,(ngw|lb|alb|nlb)-[^,]*)*$'), false)
