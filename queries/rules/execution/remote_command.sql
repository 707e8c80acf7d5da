-- Cloud Assistant commands and console sessions, which need no password of the instance. Critical on ten or more instances within ten minutes.
-- Where a person made orchestration run them, the finding names the person.
WITH calls AS (
    SELECT
        events.*,
        -- A role is one principal, whatever its sessions are called.
        coalesce(role_name, principal_id, user_name, '') AS who,
        -- A role that only a service can take, at the address of that service.
        coalesce(source_class IN ('service', 'internal', 'missing') AND matches(role_name, 'service_roles')
            AND (lower(role_name) LIKE 'aliyunservicerolefor%' OR lower(role_name) = 'oosservicerole' AND lower(source_ip_address) = 'oos.aliyuncs.com'), false) AS by_service,
        CASE WHEN cardinality(instance_ids) > 0 THEN instance_ids
             ELSE array_distinct(array_concat(coalesce(values_at(request_parameters, request_parameter_json, 'NodeIdList'), make_array()),
                  coalesce(values_at(request_parameters, request_parameter_json, 'InstanceIds'), make_array()), coalesce(values_at(request_parameters, request_parameter_json, 'InstanceId'), make_array()))) END AS machines
    FROM events
    WHERE outcome = 'success'
      AND (lower(service_name) IN ('ecs', 'ecs-cloudassistant') AND event_action IN ('runcommand', 'invokecommand', 'sendfile', 'startterminalsession', 'modifyinstancevncpasswd')
        OR lower(service_name) IN ('swas', 'swas-open') AND event_action IN ('runcommand', 'invokecommand', 'startterminalsession')
        OR lower(service_name) = 'eflo-controller' AND event_action IN ('runcommand', 'sendfile'))
),
-- Who asked orchestration or a remediation to act.
starts AS (
    SELECT
        coalesce(account_id, '') AS account, event_time AS start_time, event_key AS start_key, event_name AS called, lower(service_name) AS service,
        coalesce(user_name, principal_id, 'a principal that the event does not name') AS name, client_ip AS address,
        coalesce(lower(trim(user_type)) = 'root-account', false) AS by_root,
        coalesce(source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time)
            AND NOT (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10')), false) AS outside
    FROM events
    WHERE outcome = 'success'
      AND (lower(service_name) = 'oos' AND event_action IN ('startexecution', 'createstateconfiguration')
        OR lower(service_name) = 'config' AND event_action IN ('createremediation', 'updateremediation', 'startremediation'))
      AND NOT coalesce(source_class IN ('service', 'internal', 'missing') AND matches(role_name, 'service_roles')
        AND (lower(role_name) LIKE 'aliyunservicerolefor%' OR lower(role_name) = 'oosservicerole' AND lower(source_ip_address) = 'oos.aliyuncs.com'), false)
      AND NOT coalesce(lower(event_type) = 'aliyunserviceevent' OR lower(trim(user_type)) = 'system', false)
      AND event_time IS NOT NULL
),
services AS (
    SELECT event_key, coalesce(account_id, '') AS account, event_time,
           CASE WHEN lower(role_name) = 'aliyunserviceroleforconfigremediation' THEN 'config'
                WHEN lower(source_ip_address) = 'oos.aliyuncs.com' OR lower(role_name) LIKE 'aliyunserviceroleforoos%' THEN 'oos' END AS service
    FROM calls
    WHERE event_time IS NOT NULL AND by_service
),
started AS (
    SELECT services.event_key, starts.start_time, starts.called, starts.name, starts.address, starts.by_root, starts.outside,
           row_number() OVER (PARTITION BY services.event_key ORDER BY starts.start_time DESC, starts.start_key) AS place
    FROM services
    JOIN (SELECT *, unnest(make_array(date_bin(INTERVAL '15 minutes', start_time), date_bin(INTERVAL '15 minutes', start_time + INTERVAL '15 minutes'))) AS span FROM starts) AS starts
        ON starts.account = services.account AND starts.service = services.service AND starts.span = date_bin(INTERVAL '15 minutes', services.event_time)
    WHERE starts.start_time BETWEEN services.event_time - INTERVAL '15 minutes' AND services.event_time
),
each_machine AS (
    SELECT event_key, account_id, who, event_time, unnest(machines) AS machine FROM calls WHERE event_time IS NOT NULL
),
counted AS (
    SELECT *, count(DISTINCT machine) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM each_machine
),
followed AS (
    SELECT event_key, max(in_window) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
),
marked AS (
    SELECT event_key, max(most) AS most FROM followed GROUP BY event_key
)
SELECT
    calls.*,
    CASE
        -- What a service does with its own role is suppressed too.
        WHEN by_service AND started.name IS NULL THEN 'info'
        -- That the person's call was the cause is likely, not certain.
        WHEN by_service AND NOT started.by_root AND NOT started.outside THEN CASE WHEN coalesce(most, cardinality(machines)) >= 10 THEN 'high' ELSE 'medium' END
        WHEN coalesce(most, cardinality(machines)) >= 10 THEN 'critical'
        -- Work of the people on call, from the office.
        WHEN event_action = 'startterminalsession' AND NOT coalesce(lower(trim(user_type)) = 'root-account', false)
            AND coalesce(source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time), false) THEN 'info'
        ELSE 'high'
    END AS severity,
    started.name AS set_off_by,
    concat_ws('; ',
        'Perhaps set off by ' || started.name || ', who called ' || started.called || ' at ' || CAST(started.start_time AS VARCHAR),
        CASE WHEN started.by_root THEN 'The root account acted' END,
        CASE WHEN started.outside THEN 'The source address ' || started.address || ' is in no corporate range' END,
        CASE
            WHEN event_action IN ('runcommand', 'invokecommand') THEN 'Ran a command by ' || event_name
            WHEN event_action = 'sendfile' THEN 'Sent a file to instances'
            WHEN event_action = 'startterminalsession' THEN 'Opened a terminal session'
            ELSE 'Changed the password of the VNC connection'
        END,
        CASE WHEN cardinality(machines) > 0 THEN 'The instances are ' || array_to_string(machines, ', ') END,
        CASE WHEN most >= 10 THEN CAST(most AS VARCHAR) || ' instances were reached within 10 minutes' END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN cardinality(machines) = 0 THEN 'The event names no instance' END) AS unknowns
FROM calls
LEFT JOIN marked ON marked.event_key = calls.event_key
LEFT JOIN started ON started.event_key = calls.event_key AND started.place = 1
