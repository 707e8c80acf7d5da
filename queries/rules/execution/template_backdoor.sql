-- A template of new instances was given a start script or a role from outside or for the first time: every instance that is made from it runs the script.
-- The trail hides the script behind asterisks, which `param` reads as no value and `values_at` keeps.
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
        coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'UserData'), ''), '') <> '' AS with_script,
        param(request_parameters, request_parameter_json, 'RamRoleName') AS with_role,
        coalesce(param(request_parameters, request_parameter_json, 'ScalingGroupId'), param(request_parameters, request_parameter_json, 'ScalingConfigurationId'), param(request_parameters, request_parameter_json, 'LaunchTemplateId'),
            param(request_parameters, request_parameter_json, 'LaunchTemplateName')) AS template
    FROM events
    WHERE outcome = 'success'
      AND (lower(service_name) = 'ess' AND event_action IN ('createscalingconfiguration', 'modifyscalingconfiguration')
          AND (coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'UserData'), ''), '') <> '' OR param(request_parameters, request_parameter_json, 'RamRoleName') IS NOT NULL)
        OR lower(service_name) = 'ess' AND event_action IN ('createeciscalingconfiguration', 'modifyeciscalingconfiguration') AND param(request_parameters, request_parameter_json, 'RamRoleName') IS NOT NULL
        OR lower(service_name) = 'ecs' AND event_action IN ('createlaunchtemplate', 'createlaunchtemplateversion')
          AND (coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'UserData'), ''), '') <> '' OR param(request_parameters, request_parameter_json, 'RamRoleName') IS NOT NULL))
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
        WHEN is_first AND with_script AND with_role IS NOT NULL THEN 'medium'
        -- The first time that a colleague in the office does it is ordinary.
        WHEN coalesce(source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time), false) THEN 'info'
        ELSE 'low'
    END AS severity,
    concat_ws('; ',
        'Made or changed the template of new instances of ' || coalesce(template, '-'),
        CASE WHEN with_script THEN 'It runs a start script' END,
        'It gives the instances role ' || with_role,
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
