-- A `DryRun` parameter on an operation that has none. The call takes effect, and who looks for it may take it for a test.
-- Where it is not known which parameters the operation has, nothing is said.
WITH marked AS (
    SELECT
        events.*,
        -- Trails keep what was sent: in any case, with space around it.
        lower(trim(coalesce(
            param(request_parameters, request_parameter_json, 'DryRun'),
            param(request_parameters, request_parameter_json, ' DryRun'),
            param(request_parameters, request_parameter_json, 'DryRun '),
            param(request_parameters, request_parameter_json, 'Dry_Run')))) AS dry_run
    FROM events
    WHERE (lower(request_parameters) LIKE '%dry%run%' OR lower(request_parameter_json) LIKE '%dry%run%')
      AND outcome IN ('success', 'failure')
)
SELECT
    marked.*,
    CASE WHEN outcome = 'success' AND coalesce(lower(event_rw), '') <> 'read' THEN 'medium' ELSE 'low' END AS severity,
    concat_ws('; ',
        'The call ' || event_name || ' of ' || service_name || ' carried the parameter DryRun, which the operation does not have',
        CASE WHEN outcome = 'success' THEN 'The call took effect' ELSE 'The call was refused' END,
        'The caller was ' || coalesce(user_name, principal_id),
        'The call came from ' || source_ip_address) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM marked
WHERE dry_run IS NOT NULL
  AND dry_run NOT IN ('', 'false', '0', 'no', 'off')
  AND NOT operation_has_parameter(service_name, event_name, 'DryRun')
