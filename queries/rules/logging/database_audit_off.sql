-- The audit of a database or of a Kubernetes cluster was turned off. Each product has its own switch.
WITH calls AS (
    SELECT
        events.*,
        coalesce(param(request_parameters, request_parameter_json, 'DBInstanceId'), param(request_parameters, request_parameter_json, 'DBClusterId'), param(request_parameters, request_parameter_json, 'InstanceId'), param(request_parameters, request_parameter_json, 'DrdsInstanceId'), param(request_parameters, request_parameter_json, 'clusterid')) AS target,
        event_action = 'disablesqlaudit'
            OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'SQLCollectorStatus'), 're', '(?i)^ *(disabled?|off|false|0|no|closed?) *$'), false)
            OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'CollectorStatus'), 're', '(?i)^ *(disabled?|off|false|0|no|closed?) *$'), false)
            OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'AuditStatus'), 're', '(?i)^ *(disabled?|off|false|0|no|closed?) *$'), false)
            OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'AuditLogStatus'), 're', '(?i)^ *(disabled?|off|false|0|no|closed?) *$'), false)
            OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'DbAudit'), 're', '(?i)^ *(disabled?|off|false|0|no|closed?) *$'), false)
            OR event_action = 'modifysqllogconfig'
               AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Enable'), 're', '(?i)^ *(disabled?|off|false|0|no|closed?) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'EnableAudit'), 're', '(?i)^ *(disabled?|off|false|0|no|closed?) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'RequestEnable'), 're', '(?i)^ *(disabled?|off|false|0|no|closed?) *$'), false))
            OR event_action = 'updateclusterauditlogconfig'
               AND coalesce(any_is(values_at(request_parameters, request_parameter_json, 'body.disable'), 'equals', 'true'), false) AS is_off
    FROM events
    WHERE event_action IN ('modifysqlcollectorpolicy', 'modifydbclusterauditlogcollector', 'modifyauditpolicy', 'modifyauditlogconfig', 'modifysqllogconfig', 'disablesqlaudit', 'updateclusterauditlogconfig')
      AND lower(service_name) IN ('rds', 'gpdb', 'polardb', 'dds', 'r-kvstore', 'adb', 'das', 'drds', 'polardbx', 'cs')
      AND outcome = 'success'
)
SELECT
    calls.*,
    concat_ws('; ',
        CASE WHEN event_action = 'updateclusterauditlogconfig' THEN 'Switched off the audit log of a Kubernetes cluster' ELSE 'Switched off the SQL audit of a database' END,
        'The instance is ' || target) AS why,
    CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END AS unknowns
FROM calls
WHERE is_off
