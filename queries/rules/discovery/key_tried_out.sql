-- A long-term key, or a session of a role, that calls GetCallerIdentity and is refused at least three times within the ten
-- minutes after; and credential reports. The refused calls belong to the finding: they are the tried doors.
WITH calls AS (
    SELECT
        events.*,
        CASE credential_kind WHEN 'temporary' THEN coalesce(principal_id, access_key_id) WHEN 'long_term' THEN access_key_id END AS who,
        CASE WHEN outcome = 'failure' AND (error_code LIKE 'NoPermission%' OR error_code LIKE 'Forbidden%') THEN 1 ELSE 0 END AS refused
    FROM events
    WHERE (event_action IN ('getcalleridentity', 'generatecredentialreport')
        OR outcome = 'failure' AND (error_code LIKE 'NoPermission%' OR error_code LIKE 'Forbidden%'))
),
counted AS (
    SELECT *, CASE WHEN event_time IS NOT NULL AND who IS NOT NULL THEN
        sum(refused) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) END AS refused_after
    FROM calls
),
marked AS (
    SELECT *, CASE WHEN event_time IS NOT NULL AND who IS NOT NULL THEN
        max(CASE WHEN event_action = 'getcalleridentity' AND outcome = 'success' AND refused_after >= 3 THEN 1 END)
            OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) END AS asked
    FROM counted
)
SELECT
    marked.*,
    CASE
        WHEN event_action = 'getcalleridentity' AND outcome = 'success' THEN concat_ws('; ', 'AccessKey ' || mask_key(access_key_id) || ' asked who it is',
            CAST(refused_after AS VARCHAR) || ' calls of the key were refused within 10 minutes after it')
        WHEN refused = 1 THEN 'The call ' || event_name || ' of ' || service_name || ' was refused'
        ELSE concat_ws('; ', 'Had a report on all credentials made', 'With AccessKey ' || mask_key(access_key_id))
    END AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM marked
WHERE (event_action = 'getcalleridentity' AND outcome = 'success' AND refused_after >= 3)
   OR (refused = 1 AND asked = 1)
   OR (event_action = 'generatecredentialreport' AND outcome = 'success')
