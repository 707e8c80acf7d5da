-- Insight events of the trail are reported as findings.
SELECT
    events.*,
    concat_ws('; ',
        coalesce('The trail reports an insight of type ' || param(param(extra, 'insightDetails'), 'insightType'), 'The trail reports an insight'),
        'The insight is about ' || param(param(extra, 'insightDetails'), 'insightObject'),
        'The state of the insight is ' || param(param(extra, 'insightDetails'), 'state')) AS why,
    CASE WHEN param(param(extra, 'insightDetails'), 'insightObject') IS NULL THEN 'What the insight is about' END AS unknowns
FROM events
WHERE lower(event_type) = 'actiontrailinsight'
  AND outcome = 'success'
