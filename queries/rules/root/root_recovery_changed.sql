-- Changes by which somebody can take over the root account or lock others out of it.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('passwordmodify', 'passwordreset', 'mfaunbind', 'mfabind', 'mobilebind', 'mobilemodify', 'emailmodify')
  AND lower(service_name) = 'aascustomer'
  AND outcome = 'success'
