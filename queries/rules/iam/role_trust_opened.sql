-- A role that everybody may assume.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'role ' || param(request_parameters, 'RoleName'),
        'trusts everybody',
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createrole', 'updaterole')
  AND lower(service_name) = 'ram'
  AND outcome = 'success'
  AND regexp_like(coalesce(param(request_parameters, 'AssumeRolePolicyDocument'), param(request_parameters, 'NewAssumeRolePolicyDocument')), '"RAM"\s*:\s*\[?\s*"(\*|acs:ram::\*:)')
