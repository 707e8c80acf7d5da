-- Traffic is copied to another place: a mirror session begins, takes in more sources, or sends to another target.
SELECT
    events.*,
    concat_ws('; ',
        CASE event_action
            WHEN 'createtrafficmirrorsession' THEN 'Created a session that copies traffic'
            WHEN 'addsourcestotrafficmirrorsession' THEN 'Added sources to a session that copies traffic'
            ELSE 'Changed where a session copies traffic to'
        END,
        'The copies go to ' || param(request_parameters, request_parameter_json, 'TrafficMirrorTargetId'),
        'Traffic of ' || array_to_string(values_at(request_parameters, request_parameter_json, 'TrafficMirrorSourceIds'), ', ')) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createtrafficmirrorsession', 'addsourcestotrafficmirrorsession', 'updatetrafficmirrorsessionattribute')
  AND lower(service_name) = 'vpc'
  AND outcome = 'success'
  -- A change of a name or a priority copies nothing more.
  AND (event_action <> 'updatetrafficmirrorsessionattribute'
    OR param(request_parameters, request_parameter_json, 'TrafficMirrorTargetId') IS NOT NULL
    OR any_is(values_at(request_parameters, request_parameter_json, 'Enabled'), 'equals', 'true'))
