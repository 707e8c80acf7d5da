-- Ten or more resources that hold data deleted, released or emptied by one principal within any ten minutes. Addresses, load balancers and gateways
-- count by themselves, at a lower severity: they are lost, but no data is. Interfaces, switches, security groups and entries count nothing.
-- The windows run over few columns; the whole events are joined at the end.
WITH deleted AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, principal_id AS who,
           event_action IN ('releaseeipaddress', 'releaseeipsegmentaddress', 'deleteloadbalancer', 'deletenatgateway', 'deletevpngateway', 'deletetransitrouter') AS without_data,
           -- One call that names many instances is one: AT-ECS-001 counts the instances.
           coalesce(resource_name, nullif(concat_ws(' ', request_parameters, request_parameter_json), '')) AS thing
    FROM events
    WHERE event_time IS NOT NULL
      AND outcome = 'success'
      AND (regexp_like(event_action, '^release$|^(batch)?(delete|release|destroy|drop|remove|clear|flush|purge)(instances?|instancefordb|disks?|snapshots?|snapshotgroup|images?|rcinstances?|rcdisk|rcsnapshot|dbinstance|dbcluster|aidbcluster|gadinstance|database(s|zonal)?|db|drdsdb|drdsinstance|backups?|backupfile|userbackupfile|backupsset|backupplan|vault|buckets?|filesystem|fileset|storagevolume|logstore|metricstore|project|topic|queue|virtualhost|cluster|multizonecluster|serverlesscluster|table|collection|namespace|holowarehouse|lindorminstance|lindormv2instance|tenants|repository|secret|keymaterial|kmsinstance|datastream|logstash|dataset|datalakedatabase|datalaketable|postpaidinstance|prepaidinstance|arms?serverinstance|aicinstance|recyclebintable|subinstance|logstorestorage|dbinstancelog)$') AND coalesce(lower(service_name), '') NOT IN ('cas', 'cms', 'edas', 'sae', 'ess', 'mse', 'pai-dsw', 'eas', 'apig',
          'cloudapi', 'ccc', 'ddoscoo', 'waf-openapi', 'esa', 'eiam', 'iacservice', 'schedulerx2', 'rai', 'yundun-bastionhost', 'computenest', 'vod')
        OR event_action IN ('releaseeipaddress', 'releaseeipsegmentaddress', 'deleteloadbalancer', 'deletenatgateway', 'deletevpngateway', 'deletetransitrouter'))
      AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
      AND principal_id IS NOT NULL
),
counted AS (
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY account, who, without_data ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM deleted
),
marked AS (
    SELECT event_key, who, without_data, max(in_window) OVER (PARTITION BY account, who, without_data ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    CASE WHEN without_data THEN 'medium' ELSE 'critical' END AS severity,
    CASE WHEN without_data THEN 'without-data' END AS variant,
    -- A role that programs use does this every day. Elsewhere than in the company's ranges its credentials may be stolen.
    CASE WHEN matches(role_name, 'automation_roles') AND (coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false) OR coalesce((ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10')), false)
            OR ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NULL)
         THEN 'automation_roles: ' || role_name END AS expected_because,
    concat_ws('; ',
        CASE WHEN without_data THEN CAST(most AS VARCHAR) || ' resources without data were deleted within 10 minutes'
             ELSE CAST(most AS VARCHAR) || ' resources with data were deleted within 10 minutes' END,
        'Called ' || event_name || ' of ' || service_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 10
