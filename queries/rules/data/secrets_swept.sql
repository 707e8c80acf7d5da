-- Ten or more different secrets read by one principal within any five minutes.
-- The windows run over few columns; the whole events are joined at the end.
WITH read_out AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, principal_id AS who, param(request_parameters, 'SecretName') AS thing
    FROM events
    WHERE event_time IS NOT NULL AND event_action = 'getsecretvalue' AND lower(service_name) = 'kms' AND outcome = 'success'
),
counted AS (
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '5 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM read_out WHERE who IS NOT NULL
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '5 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ', CAST(most AS VARCHAR) || ' secrets within 5 minutes', 'secret ' || param(request_parameters, 'SecretName')) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 10
