-- Ten or more resources that hold data deleted, released or emptied by one principal within any ten minutes. Addresses, load balancers and gateways
-- count by themselves, at a lower severity: they are lost, but no data is. Interfaces, switches, security groups and entries count nothing.
-- Releases of ECS instances alone are AT-ECS-001. Where a person made orchestration or a stack delete, the finding names the person.
-- The windows run over few columns; the whole events are joined at the end.
WITH deleted AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, coalesce(role_name, principal_id) AS who,
           coalesce(lower(service_name) = 'ecs' AND event_action IN ('deleteinstance', 'deleteinstances'), false) AS is_instance,
           -- The service that acts with a role that only it can take.
           CASE WHEN coalesce(source_class, 'missing') <> 'ip' AND matches(role_name, 'service_roles') THEN CASE
               WHEN lower(role_name) = 'aliyunserviceroleforconfigremediation' THEN 'config'
               WHEN lower(role_name) LIKE 'aliyunserviceroleforoos%' OR lower(role_name) = 'oosservicerole' AND lower(source_ip_address) = 'oos.aliyuncs.com' THEN 'oos'
               WHEN lower(role_name) LIKE 'aliyunserviceroleforros%' THEN 'ros' END END AS service,
           event_action IN ('releaseeipaddress', 'releaseeipsegmentaddress', 'deleteloadbalancer', 'deletenatgateway', 'deletevpngateway', 'deletetransitrouter') AS without_data,
           -- One call that names many instances is one: AT-ECS-001 counts the instances.
           -- A table's or topic's event can name only its instance as the resource. Those of OSS have no parameters but superfluous ones.
           md5(CASE WHEN lower(service_name) = 'oss' AND resource_name IS NULL AND coalesce(referenced_resources, '{}') = '{}' THEN encode(event_key, 'hex')
                    ELSE coalesce(nullif(concat_ws(' ', resource_name, referenced_resources, request_parameters, request_parameter_json), ''), encode(event_key, 'hex')) END) AS thing
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
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY account, who, without_data ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window,
           sum(CASE WHEN is_instance THEN 0 ELSE 1 END) OVER (PARTITION BY account, who, without_data ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS others
    FROM deleted
),
marked AS (
    SELECT event_key, event_time AS deleted_at, account, service, who, without_data, max(CASE WHEN others > 0 THEN in_window END) OVER (PARTITION BY account, who, without_data ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
),
starts AS (
    SELECT
        coalesce(account_id, '') AS account, event_time AS start_time, event_key AS start_key, event_name AS called, lower(service_name) AS service,
        coalesce(user_name, principal_id, 'a principal that the event does not name') AS name, client_ip AS address, role_name AS by_role,
        coalesce(lower(trim(user_type)) = 'root-account', false) AS by_root,
        coalesce(source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time) AND NOT (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10')), false) AS outside,
        coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false) OR coalesce(ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10'), false) OR ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NULL AS at_home
    FROM events
    WHERE outcome = 'success'
      AND (lower(service_name) = 'oos' AND event_action IN ('startexecution', 'createstateconfiguration')
        OR lower(service_name) = 'ros' AND event_action IN ('deletestack', 'updatestack', 'executechangeset', 'deletestackinstances')
        OR lower(service_name) = 'config' AND event_action IN ('createremediation', 'updateremediation', 'startremediation'))
      AND NOT coalesce(coalesce(source_class, 'missing') <> 'ip' AND matches(role_name, 'service_roles'), false)
      AND NOT coalesce(lower(event_type) = 'aliyunserviceevent' OR lower(trim(user_type)) = 'system', false)
      AND event_time IS NOT NULL
),
started AS (
    SELECT marked.event_key, starts.start_time, starts.called, starts.name, starts.address, starts.by_role, starts.by_root, starts.outside, starts.at_home,
           row_number() OVER (PARTITION BY marked.event_key ORDER BY starts.start_time DESC, starts.start_key) AS place
    FROM marked
    JOIN (SELECT *, unnest(make_array(date_bin(INTERVAL '15 minutes', start_time), date_bin(INTERVAL '15 minutes', start_time + INTERVAL '15 minutes'))) AS span FROM starts) AS starts
        ON starts.account = marked.account AND starts.service = marked.service AND starts.span = date_bin(INTERVAL '15 minutes', marked.deleted_at)
    WHERE most >= 10 AND starts.start_time BETWEEN marked.deleted_at - INTERVAL '15 minutes' AND marked.deleted_at
)
SELECT
    events.*,
    marked.who,
    CASE
        WHEN without_data THEN 'medium'
        -- That the person's call was the cause is likely, not certain.
        WHEN started.name IS NOT NULL AND NOT started.by_root AND NOT started.outside THEN 'high'
        ELSE 'critical'
    END AS severity,
    CASE WHEN without_data THEN 'without-data' END AS variant,
    -- A role that programs use does this every day. Elsewhere than in the company's ranges its credentials may be stolen.
    CASE WHEN started.name IS NOT NULL THEN CASE WHEN started.at_home AND matches(started.by_role, 'automation_roles') THEN 'automation_roles: ' || started.by_role END
         WHEN matches(role_name, 'automation_roles') AND (coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false) OR coalesce((ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10')), false)
            OR ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NULL)
         THEN 'automation_roles: ' || role_name END AS expected_because,
    started.name AS set_off_by,
    concat_ws('; ',
        'Perhaps set off by ' || started.name || ', who called ' || started.called || ' at ' || CAST(started.start_time AS VARCHAR),
        CASE WHEN started.by_root THEN 'The root account acted' END,
        CASE WHEN started.outside THEN 'The source address ' || started.address || ' is in no corporate range' END,
        CASE WHEN without_data THEN CAST(most AS VARCHAR) || ' resources without data were deleted within 10 minutes'
             ELSE CAST(most AS VARCHAR) || ' resources with data were deleted within 10 minutes' END,
        'Called ' || event_name || ' of ' || service_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
LEFT JOIN started ON started.event_key = marked.event_key AND started.place = 1
WHERE most >= 10
