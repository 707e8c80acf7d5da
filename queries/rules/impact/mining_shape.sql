-- Machines with a GPU, or twenty or more machines of one principal within any ten minutes.
WITH made AS (
    SELECT
        events.*,
        coalesce(principal_id, '') AS who,
        coalesce(try_cast(param(request_parameters, 'Amount') AS BIGINT), 1) AS instances,
        coalesce(regexp_like(lower(param(request_parameters, 'InstanceType')), '^ecs\.(gn|vgn|sgn|ebmgn|ebmgi|f[0-9]|ga)'), false) AS with_gpu
    FROM events
    WHERE event_action IN ('runinstances', 'createinstance')
      AND lower(service_name) = 'ecs'
      AND outcome = 'success'
      AND coalesce(lower(role_name), '') NOT IN ('aliyunserviceroleforautoscaling', 'aliyunessdefaultrole')
),
counted AS (
    SELECT *, CASE WHEN event_time IS NOT NULL AND who <> '' THEN
        sum(instances) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) END AS in_window
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
        CASE WHEN with_gpu THEN 'GPU or FPGA: ' || param(request_parameters, 'InstanceType') END,
        CASE WHEN most >= 20 THEN CAST(most AS VARCHAR) || ' instances within 10 minutes' END,
        'region ' || acs_region) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
WHERE with_gpu OR most >= 20
