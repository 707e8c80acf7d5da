-- Creation, change or deletion of a RAM role, and changes of its policies.
SELECT
    events.*,
    CASE event_action
        WHEN 'createrole' THEN 'Created role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?')
        WHEN 'updaterole' THEN 'Changed role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?')
        WHEN 'createservicelinkedrole' THEN 'Created the role of service ' || coalesce(param(request_parameters, request_parameter_json, 'ServiceName'), '?')
        WHEN 'attachpolicytorole' THEN 'Attached policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?') || ' to role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?')
        WHEN 'detachpolicyfromrole' THEN 'Took policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?') || ' from role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?')
        ELSE 'Deleted role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?')
    END AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createrole', 'updaterole', 'deleterole', 'createservicelinkedrole', 'deleteservicelinkedrole', 'attachpolicytorole', 'detachpolicyfromrole')
  AND lower(service_name) IN ('ram', 'ims', 'resourcemanager')
  AND outcome = 'success'
  AND NOT coalesce(matches(role_name, 'automation_roles'), false)
