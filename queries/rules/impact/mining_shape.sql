-- Machines with a GPU, or twenty or more machines of one principal within any ten minutes.
WITH made AS (
    SELECT
        events.*,
        coalesce(role_name, principal_id, '') AS who,
        -- The largest and all types: a superfluous parameter must not stand before the real one.
        greatest(try_cast(param(request_parameters, request_parameter_json, 'Amount') AS BIGINT), try_cast(param(request_parameters, request_parameter_json, 'Quantity') AS BIGINT),
            try_cast(param(request_parameters, request_parameter_json, 'TotalTargetCapacity') AS BIGINT), 1) AS instances,
        concat_ws(', ', param(request_parameters, request_parameter_json, 'InstanceType'), array_to_string(values_at(request_parameters, request_parameter_json, 'LaunchTemplateConfig.InstanceType'), ', ')) AS instance_type
    FROM events
    WHERE (lower(service_name) = 'ecs' AND event_action IN ('runinstances', 'createinstance', 'createautoprovisioninggroup')
    OR lower(service_name) = 'rds' AND event_action = 'runrcinstances'
    OR lower(service_name) = 'ens' AND event_action IN ('runinstances', 'createinstance'))
  AND outcome = 'success'
),
counted AS (
    SELECT *, CASE WHEN event_time IS NOT NULL AND who <> '' THEN
        sum(instances) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) END AS in_window,
        coalesce(regexp_like(lower(instance_type), '(^|[ ,])ecs\.(gn|vgn|sgn|ebmgn|ebmgi|f[0-9]|ga)'), false) AS with_gpu
    FROM made
),
marked AS (
    SELECT *, max(in_window) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    marked.*,
    CASE WHEN most >= 20 THEN 'critical' END AS severity,
    concat_ws('; ',
        CASE WHEN with_gpu THEN 'The instance type has a GPU or FPGA: ' || instance_type END,
        CASE WHEN most >= 20 THEN CAST(most AS VARCHAR) || ' instances were made within 10 minutes' END,
        'The region is ' || acs_region) AS why,
    CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END AS unknowns
FROM marked
WHERE with_gpu OR most >= 20
