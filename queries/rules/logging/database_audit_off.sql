-- SQL audit of a database was turned off.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'instance ' || param(request_parameters, 'DBInstanceId'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action = 'modifysqlcollectorpolicy'
  AND lower(service_name) = 'rds'
  AND lower(param(request_parameters, 'SQLCollectorStatus')) IN ('disable', 'disabled')
  AND outcome = 'success'
