-- A database instance, cluster or database was released or emptied, or a file system or Kubernetes cluster deleted.
WITH released AS (
    SELECT
        events.*,
        source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time)
            AND NOT (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10')) AS outside,
        -- No address, or one of a kind that the company's ranges have none of. Without any ranges there is nothing to compare.
        ip_in('0.0.0.0', 'corporate_cidrs', event_time) IS NOT NULL AND (source_class <> 'ip' OR ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL) AS range_unknown
    FROM events
    WHERE (lower(service_name) = 'rds' AND event_action IN ('deletedbinstance', 'destroydbinstance', 'deletedatabase', 'release')
        OR lower(service_name) = 'polardb' AND event_action IN ('deletedbcluster', 'deleteaidbcluster', 'deletedatabase', 'deletedatabasezonal')
        OR lower(service_name) = 'polardbx' AND event_action IN ('deletedbinstance', 'deletedb')
        OR lower(service_name) = 'dds' AND event_action IN ('deletedbinstance', 'destroyinstance')
        OR lower(service_name) = 'r-kvstore' AND event_action IN ('deleteinstance', 'destroyinstance', 'flushinstance', 'flushinstancefordb')
        OR lower(service_name) = 'adb' AND event_action = 'deletedbcluster'
        OR lower(service_name) = 'gpdb' AND event_action IN ('deletedbinstance', 'deletedatabase')
        OR lower(service_name) = 'clickhouse' AND event_action IN ('deletedbinstance', 'deletedb')
        OR lower(service_name) = 'drds' AND event_action IN ('removedrdsinstance', 'removedrdsdb')
        OR lower(service_name) = 'hbase' AND event_action IN ('deleteinstance', 'purgeinstance', 'deletemultizonecluster', 'deleteserverlesscluster')
        OR lower(service_name) = 'elasticsearch' AND event_action = 'deleteinstance'
        OR lower(service_name) = 'hitsdb' AND event_action IN ('releaselindorminstance', 'releaselindormv2instance')
        OR lower(service_name) = 'oceanbasepro' AND event_action IN ('deleteinstances', 'deletetenants', 'deletedatabases')
        OR lower(service_name) = 'starrocks' AND event_action = 'releaseinstance'
        OR lower(service_name) = 'hologram' AND event_action = 'deleteinstance'
        OR lower(service_name) = 'maxcompute' AND event_action = 'deleteproject'
        OR lower(service_name) = 'nas' AND event_action = 'deletefilesystem'
        OR lower(service_name) = 'ots' AND event_action = 'deleteinstance'
        OR lower(service_name) = 'cs' AND event_action = 'deletecluster')
      AND outcome = 'success'
      AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
      AND coalesce(lower(user_type), '') <> 'system'
)
SELECT
    released.*,
    CASE
        WHEN matches(role_name, 'automation_roles') AND range_unknown THEN 'low'
        WHEN event_action IN ('deletedatabase', 'deletedatabases', 'deletedb', 'removedrdsdb') THEN 'high'
        ELSE 'critical'
    END AS severity,
    CASE WHEN matches(role_name, 'automation_roles') AND range_unknown THEN 'automation-undetermined' END AS variant,
    -- A role that programs use does this every day. Elsewhere than in the company's ranges its credentials may be stolen.
    CASE WHEN matches(role_name, 'automation_roles') AND NOT range_unknown AND NOT coalesce(outside, false) THEN 'automation_roles: ' || role_name END AS expected_because,
    concat_ws('; ',
        CASE WHEN event_action LIKE 'flush%' THEN 'Emptied ' ELSE 'Released ' END || coalesce(param(request_parameters, request_parameter_json, 'DBInstanceId'), param(request_parameters, request_parameter_json, 'DBInstanceName'),
            param(request_parameters, request_parameter_json, 'DBClusterId'), param(request_parameters, request_parameter_json, 'DrdsInstanceId'), param(request_parameters, request_parameter_json, 'ClusterId'),
            param(request_parameters, request_parameter_json, 'InstanceId'), param(request_parameters, request_parameter_json, 'InstanceIds'), param(request_parameters, request_parameter_json, 'FileSystemId'), param(request_parameters, request_parameter_json, 'projectName'),
            resource_name, '-') || ' by ' || event_name,
        'The database is ' || coalesce(param(request_parameters, request_parameter_json, 'DBName'), param(request_parameters, request_parameter_json, 'DbName'), param(request_parameters, request_parameter_json, 'DatabaseNames'))) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN matches(role_name, 'automation_roles') AND range_unknown THEN 'Whether the address is inside the corporate ranges' END) AS unknowns
FROM released
