-- Changes of what a custom policy allows.
SELECT
    events.*,
    CASE
        WHEN regexp_like(param(request_parameters, 'PolicyDocument'), '"Action"\s*:\s*\[?\s*"\*"')
         AND regexp_like(param(request_parameters, 'PolicyDocument'), '"Resource"\s*:\s*\[?\s*"\*"') THEN 'high'
        ELSE 'medium'
    END AS severity,
    concat_ws('; ',
        'event = ' || event_name,
        'policy ' || param(request_parameters, 'PolicyName'),
        CASE WHEN regexp_like(param(request_parameters, 'PolicyDocument'), '"Action"\s*:\s*\[?\s*"\*"') AND regexp_like(param(request_parameters, 'PolicyDocument'), '"Resource"\s*:\s*\[?\s*"\*"') THEN 'allows everything on everything' END,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createpolicy', 'createpolicyversion', 'updatepolicyversion', 'setdefaultpolicyversion', 'deletepolicy', 'deletepolicyversion')
  AND lower(service_name) IN ('ram', 'resourcemanager')
  AND outcome = 'success'
