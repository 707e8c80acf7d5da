-- Traffic is mirrored.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'to ' || param(request_parameters, 'TrafficMirrorTargetId'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action = 'createtrafficmirrorsession'
  AND lower(service_name) = 'vpc'
  AND outcome = 'success'
