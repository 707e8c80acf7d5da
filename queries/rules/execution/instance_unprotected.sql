-- New instances without the Security Center agent, or with password login.
-- The trail hides the password behind asterisks, which `param` reads as no value and `values_at` keeps.
SELECT
    events.*,
    CASE WHEN lower(param(request_parameters, request_parameter_json, 'SecurityEnhancementStrategy')) = 'deactive' THEN 'medium' ELSE 'low' END AS severity,
    concat_ws('; ',
        CASE WHEN lower(param(request_parameters, request_parameter_json, 'SecurityEnhancementStrategy')) = 'deactive' THEN 'Created without the Security Center agent' END,
        CASE WHEN coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'Password'), ''), '') <> '' OR lower(param(request_parameters, request_parameter_json, 'PasswordInherit')) = 'true'
             THEN 'Created with a password instead of a key pair' END) AS why,
    CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END AS unknowns
FROM events
WHERE outcome = 'success'
  AND (lower(service_name) = 'ecs' AND event_action IN ('runinstances', 'createinstance') OR lower(service_name) = 'rds' AND event_action = 'runrcinstances')
  AND (lower(param(request_parameters, request_parameter_json, 'SecurityEnhancementStrategy')) = 'deactive'
    OR coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'Password'), ''), '') <> ''
    OR lower(param(request_parameters, request_parameter_json, 'PasswordInherit')) = 'true')
