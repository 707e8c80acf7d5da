-- Which calls it finds, and why somebody should look.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action = 'deletesnapshot'
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
