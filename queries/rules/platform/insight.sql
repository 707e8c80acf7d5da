-- Insight events of the trail are reported as findings.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'type ' || param(param(extra, 'insightDetails'), 'insightType'),
        'object ' || param(param(extra, 'insightDetails'), 'insightObject'),
        'state ' || param(param(extra, 'insightDetails'), 'state'),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE lower(event_type) = 'actiontrailinsight'
  AND outcome = 'success'
