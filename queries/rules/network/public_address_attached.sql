-- A machine became reachable from the internet.
SELECT
    events.*,
    concat_ws('; ',
        coalesce('Attached a public address to ' || coalesce(param(request_parameters, request_parameter_json, 'InstanceId'),
            param(request_parameters, request_parameter_json, 'BindedInstanceId'), param(request_parameters, request_parameter_json, 'BindInstanceId'),
            param(request_parameters, request_parameter_json, 'Ipv6AddressId')), 'Attached a public address to an instance'),
        'Public address ' || coalesce(param(request_parameters, request_parameter_json, 'AllocationId'), param(request_parameters, request_parameter_json, 'AnycastId'),
            array_to_string(values_at(request_parameters, request_parameter_json, 'InstanceIds'), ','))) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('allocatepublicipaddress', 'associateeipaddress', 'associateeipaddressbatch', 'associateeipaddresswithrcinstance',
        'associateenseipaddress', 'associateanycasteipaddress', 'allocateipv6internetbandwidth', 'modifyinstancenetworkspec')
  AND lower(service_name) IN ('ecs', 'vpc', 'eip', 'rds', 'ens', 'eipanycast')
  AND outcome = 'success'
  AND (event_action <> 'modifyinstancenetworkspec' OR any_is(values_at(request_parameters, request_parameter_json, 'AllocatePublicIp'), 'equals', 'true'))
  -- A NAT gateway or a load balancer is what should face the internet. Its id says so, whatever else the call says.
  AND NOT regexp_like(concat_ws(',', array_to_string(values_at(request_parameters, request_parameter_json, 'InstanceId'), ','),
        array_to_string(values_at(request_parameters, request_parameter_json, 'BindedInstanceId'), ','),
        array_to_string(values_at(request_parameters, request_parameter_json, 'BindInstanceId'), ',')), '^(ngw|lb|alb|nlb)-[^,]*(,(ngw|lb|alb|nlb)-[^,]*)*$')
