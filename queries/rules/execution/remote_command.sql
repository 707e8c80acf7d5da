-- Cloud Assistant commands and console sessions, which need no password of the instance. Critical on ten or more instances at once.
SELECT
    events.*,
    CASE WHEN cardinality(instance_ids) >= 10 THEN 'critical' ELSE 'high' END AS severity,
    concat_ws('; ',
        'event = ' || event_name,
        'on ' || array_to_string(instance_ids, ', '),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('runcommand', 'invokecommand', 'sendfile', 'startterminalsession', 'modifyinstancevncpasswd')
  AND lower(service_name) IN ('ecs', 'ecs-cloudassistant')
  AND outcome = 'success'
