-- A long-term key that calls GetCallerIdentity and is refused at least three times within the ten minutes after; and credential reports.
WITH calls AS (
    SELECT
        events.*,
        CASE WHEN outcome = 'failure' AND (error_code LIKE 'NoPermission%' OR error_code LIKE 'Forbidden%') THEN 1 ELSE 0 END AS refused
    FROM events
    WHERE (event_action IN ('getcalleridentity', 'generatecredentialreport')
        OR outcome = 'failure' AND (error_code LIKE 'NoPermission%' OR error_code LIKE 'Forbidden%'))
),
counted AS (
    SELECT *, CASE WHEN event_time IS NOT NULL AND credential_kind = 'long_term' THEN
        sum(refused) OVER (PARTITION BY coalesce(account_id, ''), access_key_id ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) END AS refused_after
    FROM calls
)
SELECT
    counted.*,
    concat_ws('; ',
        'event = ' || event_name,
        CASE WHEN event_action = 'getcalleridentity' THEN CAST(refused_after AS VARCHAR) || ' refused calls within 10 minutes after it' END,
        CASE WHEN event_action = 'generatecredentialreport' THEN 'a report on all credentials' END,
        'key ' || mask_key(access_key_id)) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM counted
WHERE (event_action = 'getcalleridentity' AND outcome = 'success' AND refused_after >= 3)
   OR (event_action = 'generatecredentialreport' AND outcome = 'success')
