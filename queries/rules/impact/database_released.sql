-- A database instance was released or flushed.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'instance ' || coalesce(param(request_parameters, 'DBInstanceId'), param(request_parameters, 'DBClusterId'), param(request_parameters, 'InstanceId')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('deletedbinstance', 'destroydbinstance', 'deletedbcluster', 'flushinstance')
  AND lower(service_name) IN ('rds', 'polardb', 'dds', 'r-kvstore', 'adb', 'gpdb', 'drds', 'hbase')
  AND outcome = 'success'
  AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
