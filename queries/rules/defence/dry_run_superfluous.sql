-- A `DryRun` parameter on an operation that has none. The call takes effect, and who looks for it may take it for a test.
-- Trails keep what was sent, in any spelling. Where it is not known which parameters the operation has, nothing is said.
SELECT
    events.*,
    CASE WHEN outcome = 'success' THEN 'medium' ELSE 'low' END AS severity,
    concat_ws('; ',
        'The call ' || event_name || ' of ' || service_name || ' carried the parameter DryRun, which the operation does not have',
        CASE WHEN outcome = 'success' THEN 'The call took effect' ELSE 'The call was refused' END,
        'The caller was ' || coalesce(user_name, principal_id),
        'The call came from ' || source_ip_address) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE (lower(request_parameters) LIKE '%dryrun%' OR lower(request_parameter_json) LIKE '%dryrun%')
  AND outcome IN ('success', 'failure')
  AND coalesce(lower(event_rw), '') <> 'read'
  AND any_is(values_at(request_parameters, request_parameter_json, 'DryRun'), 're', '(?i)^ *(true|yes|on|y|t|1) *$')
  AND NOT operation_has_parameter(service_name, event_name, 'DryRun')
