-- A function of Function Compute was changed, made with a role or given a trigger from outside or for the first time, opened to everybody, or its layer
-- published. Whoever makes a function with a role acts with its rights.
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
        event_action = 'putlayeracl' AND (coalesce(lower(param(request_parameters, request_parameter_json, 'public')) IN ('true', '1'), false)
            OR coalesce(lower(param(request_parameters, request_parameter_json, 'acl')) IN ('1', 'true'), false)) AS publishes,
        event_action IN ('createtrigger', 'updatetrigger') AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'body.triggerConfig.authType'), 'equals', 'anonymous'), false)
            OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'triggerConfig.authType'), 'equals', 'anonymous'), false)) AS for_everybody,
        coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'body.triggerType'), ', '), param(request_parameters, request_parameter_json, 'triggerType')) AS trigger_type
    FROM events
    WHERE outcome = 'success'
      AND lower(service_name) IN ('fc', 'fc-open')
      AND (event_action IN ('createtrigger', 'updatetrigger', 'updatefunction', 'putlayeracl')
        OR event_action = 'createfunction' AND concat_ws('', array_to_string(values_at(request_parameters, request_parameter_json, 'body.role'), ''), array_to_string(values_at(request_parameters, request_parameter_json, 'function.role'), ''), array_to_string(values_at(request_parameters, request_parameter_json, 'role'), '')) <> '')
      AND NOT (event_action = 'putlayeracl'
        AND coalesce(lower(param(request_parameters, request_parameter_json, 'public')), 'false') = 'false'
        AND coalesce(lower(param(request_parameters, request_parameter_json, 'acl')), '0') IN ('0', 'false')
        AND coalesce(param(request_parameters, request_parameter_json, 'public'), param(request_parameters, request_parameter_json, 'acl')) IS NOT NULL)
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
    CASE WHEN from_unknown AND NOT (publishes OR for_everybody OR by_root OR is_first) THEN 'address-undetermined' END AS variant,
    CASE
        WHEN publishes OR for_everybody THEN CASE WHEN by_root OR from_outside THEN 'high' ELSE 'medium' END
        WHEN by_root OR from_outside THEN 'medium'
        -- The first time that a colleague in the office does it is ordinary.
        WHEN coalesce(source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time), false) THEN 'info'
        ELSE 'low'
    END AS severity,
    concat_ws('; ',
        CASE
            WHEN event_action = 'putlayeracl' THEN 'Changed who may use layer ' || coalesce(param(request_parameters, request_parameter_json, 'layerName'), '-')
            WHEN event_action = 'createfunction' THEN 'Made function ' || coalesce(param(request_parameters, request_parameter_json, 'body.functionName'), param(request_parameters, request_parameter_json, 'function.functionName'), param(request_parameters, request_parameter_json, 'functionName'), '-')
            WHEN event_action = 'updatefunction' THEN 'Changed function ' || coalesce(param(request_parameters, request_parameter_json, 'functionName'), '-')
            ELSE 'Gave function ' || coalesce(param(request_parameters, request_parameter_json, 'functionName'), '-') || ' a trigger'
        END,
        CASE WHEN event_action IN ('createtrigger', 'updatetrigger') THEN 'The trigger is of type ' || trigger_type END,
        CASE WHEN event_action IN ('createfunction', 'updatefunction') THEN 'It acts with role ' || array_to_string(coalesce(values_at(request_parameters, request_parameter_json, 'body.role'), values_at(request_parameters, request_parameter_json, 'function.role'), values_at(request_parameters, request_parameter_json, 'role')), ', ') END,
        CASE WHEN for_everybody THEN 'Everybody can call the function without signing in' END,
        CASE WHEN publishes THEN 'The layer is public' END,
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
WHERE publishes OR for_everybody OR by_root OR from_outside OR from_unknown OR is_first OR without_past
