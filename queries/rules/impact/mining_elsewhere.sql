-- Computing that miners and thieves of models use beside instances: container groups, inference services, training jobs, notebooks and keys of the model
-- service, from outside or for the first time.
WITH calls AS (
    SELECT
        events.*,
        -- A role is one principal, whatever its sessions are called.
        coalesce(role_name, principal_id, user_name, '') AS who,
        coalesce(account_id, '') AS account,
        coalesce(lower(trim(user_type)) = 'root-account', false) AS by_root,
        coalesce(source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time)
            -- Addresses of private networks are the cloud's or the company's own.
            AND NOT (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10')), false) AS from_outside,
        coalesce(source_class, 'missing') <> 'service' AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL AND ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NOT NULL AS from_unknown,
        coalesce(regexp_like(lower(concat_ws(',', param(request_parameters, request_parameter_json, 'InstanceType'), param(request_parameters, request_parameter_json, 'body.InstanceType'), param(request_parameters, request_parameter_json, 'body.EcsSpec'),
            array_to_string(values_at(request_parameters, request_parameter_json, 'body.JobSpecs.EcsSpec'), ','))), 'ecs\.(gn|vgn|sgn|ebmgn|ebmgi|f[0-9]|ga)'), false) AS with_gpu,
        coalesce(param(request_parameters, request_parameter_json, 'ContainerGroupName'), param(request_parameters, request_parameter_json, 'body.name'), param(request_parameters, request_parameter_json, 'body.DisplayName'),
            param(request_parameters, request_parameter_json, 'body.InstanceName'), resource_name, '-') AS thing
    FROM events
    WHERE outcome = 'success'
      AND (lower(service_name) = 'eci' AND event_action = 'createcontainergroup'
        OR lower(service_name) = 'eas' AND event_action IN ('createservice', 'createappservice')
        OR lower(service_name) = 'pai-dlc' AND event_action = 'createjob'
        OR lower(service_name) = 'pai-dsw' AND event_action = 'createinstance'
        OR lower(service_name) = 'paistudio' AND event_action = 'createtrainingjob'
        OR lower(service_name) IN ('bailian', 'modelstudio', 'dashscope') AND event_action = 'createapikey')
),
-- Only the first call of a day can be the first in 30 days.
days AS (
    SELECT account, who, event_action, date_bin(INTERVAL '1 day', event_time) AS day, min(event_time) AS first_time, max(event_time) AS last_time,
           first_value(event_key ORDER BY event_time, event_key) AS event_key
    FROM calls
    WHERE event_time IS NOT NULL AND who <> ''
    GROUP BY account, who, event_action, date_bin(INTERVAL '1 day', event_time)
),
followed AS (
    SELECT *, lag(last_time) OVER (PARTITION BY account, who, event_action ORDER BY day) AS done_before FROM days
),
fresh AS (
    SELECT event_key FROM followed WHERE done_before IS NULL OR done_before < first_time - INTERVAL '30 days'
),
weighed AS (
    SELECT calls.*, fresh.event_key IS NOT NULL AS is_first, who = '' OR event_time IS NULL AS without_past
    FROM calls
    LEFT JOIN fresh ON fresh.event_key = calls.event_key
)
SELECT
    weighed.*,
    CASE WHEN from_unknown AND NOT (false OR by_root OR is_first) THEN 'address-undetermined' END AS variant,
    CASE
        WHEN by_root OR from_outside THEN 'high'
        WHEN is_first AND with_gpu AND NOT coalesce(source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time), false) THEN 'medium'
        -- The first time that a colleague in the office does it is ordinary.
        WHEN coalesce(source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time), false) THEN 'info'
        ELSE 'low'
    END AS severity,
    concat_ws('; ',
        CASE lower(service_name)
            WHEN 'eci' THEN 'Made a container group: ' || thing
            WHEN 'eas' THEN 'Made an inference service: ' || thing
            WHEN 'pai-dsw' THEN 'Made a notebook instance: ' || thing
            WHEN 'pai-dlc' THEN 'Started a training job: ' || thing
            WHEN 'paistudio' THEN 'Started a training job: ' || thing
            ELSE 'Made an API key of the model service: ' || thing
        END,
        CASE WHEN with_gpu THEN 'The computing has a GPU or FPGA' END,
        CASE WHEN by_root THEN 'The root account acted' END,
        CASE WHEN from_outside THEN 'The source address ' || client_ip || ' is in no corporate range' END,
        CASE WHEN is_first THEN 'First time in 30 days that ' || coalesce(role_name, user_name, principal_id) || ' did this' END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL
             THEN CASE WHEN ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NULL THEN 'The corporate ranges are not set' ELSE 'The corporate ranges have no IPv6 range' END END,
        CASE WHEN who = '' THEN 'The principal is unknown' END,
        CASE WHEN event_time IS NULL THEN 'The event has no readable time' END) AS unknowns
FROM weighed
WHERE false OR by_root OR from_outside OR from_unknown OR is_first OR without_past
