-- What protects the accounts of an organization was taken away: control policies, the place of an account among the folders that
-- carry them, its membership, the ban on deleting it; or an account was made an administrator of the organization's services.
SELECT
    events.*,
    CASE WHEN event_action IN ('moveaccount', 'registerdelegatedadministrator', 'deregisterdelegatedadministrator') THEN 'medium' END AS severity,
    CASE event_action
        WHEN 'detachcontrolpolicy' THEN 'Took control policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyId'), '?') || ' from ' || coalesce(param(request_parameters, request_parameter_json, 'TargetId'), '?')
        WHEN 'disablecontrolpolicy' THEN 'Switched off all control policies'
        WHEN 'updatecontrolpolicy' THEN 'Changed control policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyId'), '?')
        WHEN 'deletecontrolpolicy' THEN 'Deleted control policy ' || coalesce(param(request_parameters, request_parameter_json, 'PolicyId'), '?')
        WHEN 'removecloudaccount' THEN 'Removed account ' || coalesce(param(request_parameters, request_parameter_json, 'AccountId'), '?') || ' from the organization'
        WHEN 'destroyresourcedirectory' THEN 'Dissolved the organization'
        WHEN 'moveaccount' THEN 'Moved account ' || coalesce(param(request_parameters, request_parameter_json, 'AccountId'), '?') || ' to folder ' || coalesce(param(request_parameters, request_parameter_json, 'DestinationFolderId'), '?') || ', whose control policies hold from now on'
        WHEN 'setmemberdeletionpermission' THEN 'Changed whether members of the organization may be deleted'
        WHEN 'registerdelegatedadministrator' THEN 'Made account ' || coalesce(param(request_parameters, request_parameter_json, 'AccountId'), '?') || ' an administrator of ' || coalesce(param(request_parameters, request_parameter_json, 'ServicePrincipal'), '?') || ' for the organization'
        ELSE 'Account ' || coalesce(param(request_parameters, request_parameter_json, 'AccountId'), '?') || ' is no longer an administrator of ' || coalesce(param(request_parameters, request_parameter_json, 'ServicePrincipal'), '?') || ' for the organization'
    END AS why,
    concat_ws('; ',
        CASE
            WHEN event_action = 'updatecontrolpolicy' THEN 'Whether the control policy allows more than before'
            WHEN event_action = 'setmemberdeletionpermission' AND param(request_parameters, request_parameter_json, 'Status') IS NULL THEN 'Whether the deletion was allowed or forbidden'
        END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM events
WHERE event_action IN ('detachcontrolpolicy', 'disablecontrolpolicy', 'updatecontrolpolicy', 'deletecontrolpolicy', 'removecloudaccount', 'destroyresourcedirectory',
      'moveaccount', 'setmemberdeletionpermission', 'registerdelegatedadministrator', 'deregisterdelegatedadministrator')
  AND lower(service_name) IN ('resourcemanager', 'resourcedirectorymaster')
  AND outcome = 'success'
  -- Forbidding the deletion of members is a guardrail more.
  AND NOT (event_action = 'setmemberdeletionpermission' AND coalesce(lower(trim(param(request_parameters, request_parameter_json, 'Status'))), '') = 'disabled')
