-- Cloud Assistant commands and console sessions, which need no password of the instance. Critical on ten or more instances within ten minutes.
WITH calls AS (
    SELECT
        events.*,
        coalesce(principal_id, user_name, '') AS who,
        CASE WHEN cardinality(instance_ids) > 0 THEN instance_ids
             ELSE array_distinct(array_concat(coalesce(values_at(request_parameters, request_parameter_json, 'NodeIdList'), make_array()),
                  coalesce(values_at(request_parameters, request_parameter_json, 'InstanceIds'), make_array()), coalesce(values_at(request_parameters, request_parameter_json, 'InstanceId'), make_array()))) END AS machines
    FROM events
    WHERE outcome = 'success'
      AND (lower(service_name) IN ('ecs', 'ecs-cloudassistant') AND event_action IN ('runcommand', 'invokecommand', 'sendfile', 'startterminalsession', 'modifyinstancevncpasswd')
        OR lower(service_name) IN ('swas', 'swas-open') AND event_action IN ('runcommand', 'invokecommand', 'startterminalsession')
        OR lower(service_name) = 'eflo-controller' AND event_action IN ('runcommand', 'sendfile'))
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
        WHEN source_class IN ('service', 'internal', 'missing') AND matches(role_name, 'service_roles')
            AND (lower(role_name) LIKE 'aliyunservicerolefor%' OR lower(role_name) = 'oosservicerole' AND lower(source_ip_address) = 'oos.aliyuncs.com') THEN 'info'
        WHEN coalesce(most, cardinality(machines)) >= 10 THEN 'critical'
        -- Work of the people on call, from the office.
        WHEN event_action = 'startterminalsession' AND NOT coalesce(lower(trim(user_type)) = 'root-account', false)
            AND coalesce(source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time), false) THEN 'info'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
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
