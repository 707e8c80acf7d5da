-- A machine became reachable from the internet.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'to ' || param(request_parameters, 'InstanceId'),
        'address ' || param(request_parameters, 'AllocationId'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('allocatepublicipaddress', 'associateeipaddress')
  AND lower(service_name) IN ('ecs', 'vpc', 'eip')
  AND outcome = 'success'
