-- Creation, change or deletion of a RAM role or of a custom policy, and changes of what is attached to a role.
SELECT
    events.*,
    CASE event_action
        WHEN 'createrole' THEN 'Created role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?')
        WHEN 'updaterole' THEN 'Changed role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?')
        WHEN 'createservicelinkedrole' THEN 'Created the role of service ' || coalesce(param(request_parameters, request_parameter_json, 'ServiceName'), '?')
        WHEN 'attachpolicytorole' THEN 'Attached policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?') || ' to role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?')
        WHEN 'detachpolicyfromrole' THEN 'Took policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?') || ' from role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?')
        WHEN 'createpolicy' THEN 'Created policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
        WHEN 'createpolicyversion' THEN 'Created a new version of policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
        WHEN 'updatepolicyversion' THEN 'Changed a version of policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
        WHEN 'setdefaultpolicyversion' THEN 'Set version ' || coalesce(param(request_parameters, request_parameter_json, 'VersionId'), '?') || ' of policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?') || ' as the one that holds'
        WHEN 'deletepolicy' THEN 'Deleted policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
        WHEN 'deletepolicyversion' THEN 'Deleted version ' || coalesce(param(request_parameters, request_parameter_json, 'VersionId'), '?') || ' of policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyName'), '?')
        ELSE 'Deleted role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?')
    END AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('createpolicy', 'createpolicyversion', 'updatepolicyversion', 'setdefaultpolicyversion', 'deletepolicy', 'deletepolicyversion', 'createrole', 'updaterole', 'deleterole', 'createservicelinkedrole', 'deleteservicelinkedrole', 'attachpolicytorole', 'detachpolicyfromrole')
  AND lower(service_name) IN ('ram', 'ims', 'resourcemanager')
  AND outcome = 'success'
  AND NOT coalesce(matches(role_name, 'automation_roles'), false)
