-- Changes that make the trail record less. Attempts count too, because nobody tries this by mistake.
SELECT
    events.*,
    CASE
        WHEN outcome <> 'success' THEN 'medium'
        WHEN event_action IN ('stoplogging', 'deletetrail') THEN 'critical'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        'event = ' || event_name,
        'trail ' || coalesce(param(request_parameters, 'Name'), param(request_parameters, 'TrailName')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('stoplogging', 'deletetrail', 'updatetrail', 'deletedataeventselector', 'putdataeventselector', 'disableinsight', 'updateglobaleventsstorageregion')
  AND lower(service_name) = 'actiontrail'
  AND outcome <> 'dry_run'
