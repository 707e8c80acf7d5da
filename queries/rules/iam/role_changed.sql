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
    CASE source_class
        WHEN 'internal' THEN 'The call came from inside Alibaba Cloud, and its address is not known'
        WHEN 'service' THEN 'A service made the call, and whose address is behind it is not known'
        WHEN 'missing' THEN 'The event has no source address'
        WHEN 'garbage' THEN 'The source address cannot be read'
    END AS unknowns
FROM events
WHERE event_action IN ('createrole', 'updaterole', 'deleterole', 'createservicelinkedrole', 'deleteservicelinkedrole', 'attachpolicytorole', 'detachpolicyfromrole')
  AND lower(service_name) IN ('ram', 'ims', 'resourcemanager')
  AND outcome = 'success'
  AND NOT coalesce(matches(role_name, 'automation_roles'), false)
