-- A protection against deletion was removed.
SELECT
    events.*,
    concat_ws('; ',
        'Switched off the deletion protection of ' || coalesce(param(request_parameters, request_parameter_json, 'InstanceId'), param(request_parameters, request_parameter_json, 'DBInstanceId'),
            param(request_parameters, request_parameter_json, 'DBClusterId'), param(request_parameters, request_parameter_json, 'ClusterId'), param(request_parameters, request_parameter_json, 'LoadBalancerId'),
            param(request_parameters, request_parameter_json, 'ResourceId'), param(request_parameters, request_parameter_json, 'ScalingGroupId'), param(request_parameters, request_parameter_json, 'StackId'),
            param(request_parameters, request_parameter_json, 'ProtectedResourceArn'), param(request_parameters, request_parameter_json, 'KeyId'), resource_name, '-') || ' by ' || event_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END AS unknowns
FROM events
WHERE outcome = 'success'
  AND (lower(service_name) IN ('ecs', 'ens') AND event_action = 'modifyinstanceattribute'
      AND lower(param(request_parameters, request_parameter_json, 'DeletionProtection')) IN ('false', 'off', '0', 'disabled')
    OR lower(service_name) = 'rds' AND event_action = 'modifydbinstancedeletionprotection'
      AND lower(param(request_parameters, request_parameter_json, 'DeletionProtection')) IN ('false', 'off', '0', 'disabled')
    OR lower(service_name) = 'polardb' AND event_action = 'modifydbclusterdeletion'
      AND lower(param(request_parameters, request_parameter_json, 'Protection')) IN ('false', 'off', '0', 'disabled')
    OR lower(service_name) = 'hbase' AND event_action = 'modifyclusterdeletionprotection'
      AND lower(param(request_parameters, request_parameter_json, 'Protection')) IN ('false', 'off', '0', 'disabled')
    OR lower(service_name) = 'hitsdb' AND event_action = 'updatelindorminstanceattribute'
      AND lower(param(request_parameters, request_parameter_json, 'DeletionProtection')) IN ('false', 'off', '0', 'disabled')
    OR lower(service_name) = 'slb' AND event_action = 'setloadbalancerdeleteprotection'
      AND lower(param(request_parameters, request_parameter_json, 'DeleteProtection')) IN ('false', 'off', '0', 'disabled')
    OR lower(service_name) = 'alb' AND event_action = 'disabledeletionprotection'
    OR lower(service_name) = 'nlb' AND event_action = 'updateloadbalancerprotection'
      AND lower(param(request_parameters, request_parameter_json, 'DeletionProtectionEnabled')) IN ('false', 'off', '0', 'disabled')
    OR lower(service_name) = 'vpc' AND event_action = 'deletionprotection'
      AND lower(param(request_parameters, request_parameter_json, 'ProtectionEnable')) IN ('false', 'off', '0', 'disabled')
    OR lower(service_name) = 'ess' AND event_action IN ('setgroupdeletionprotection', 'modifyscalinggroup')
      AND lower(param(request_parameters, request_parameter_json, 'GroupDeletionProtection')) IN ('false', 'off', '0', 'disabled')
    OR lower(service_name) = 'ros' AND event_action = 'setdeletionprotection'
      AND lower(param(request_parameters, request_parameter_json, 'DeletionProtection')) IN ('false', 'off', '0', 'disabled')
    OR lower(service_name) = 'kms' AND event_action = 'setdeletionprotection'
      AND lower(param(request_parameters, request_parameter_json, 'EnableDeletionProtection')) IN ('false', 'off', '0', 'disabled')
    OR lower(service_name) = 'emr' AND event_action = 'updateclusterattribute'
      AND lower(param(request_parameters, request_parameter_json, 'DeletionProtection')) IN ('false', 'off', '0', 'disabled'))
