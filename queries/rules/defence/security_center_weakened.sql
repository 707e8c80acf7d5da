-- Agents or protections of servers were removed.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'servers ' || coalesce(param(request_parameters, 'Uuids'), param(request_parameters, 'Uuid')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE lower(service_name) IN ('aegis', 'sas')
  AND outcome = 'success'
  AND (event_action IN ('modifyweblockunbind', 'adduninstallclientsbyuuids', 'deleteservicetrail')
    OR event_action = 'modifyweblockstatus' AND lower(param(request_parameters, 'Status')) IN ('off', '0')
    OR event_action = 'pauseclient' AND coalesce(lower(param(request_parameters, 'Value')), '') <> '0')
