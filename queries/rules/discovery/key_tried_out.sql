-- A long-term key, or a session of a role, that calls GetCallerIdentity and is refused at least three times within the ten minutes after; and credential reports.
WITH calls AS (
    SELECT
        events.*,
        CASE WHEN outcome = 'failure' AND (error_code LIKE 'NoPermission%' OR error_code LIKE 'Forbidden%') THEN 1 ELSE 0 END AS refused
    FROM events
    WHERE (event_action IN ('getcalleridentity', 'generatecredentialreport')
        OR outcome = 'failure' AND (error_code LIKE 'NoPermission%' OR error_code LIKE 'Forbidden%'))
),
counted AS (
    SELECT *, CASE WHEN event_time IS NOT NULL AND credential_kind IN ('long_term', 'temporary') THEN
        sum(refused) OVER (PARTITION BY coalesce(account_id, ''), CASE WHEN credential_kind = 'temporary' THEN coalesce(principal_id, access_key_id) ELSE access_key_id END ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) END AS refused_after
    FROM calls
)
SELECT
    counted.*,
    CASE event_action
        WHEN 'getcalleridentity' THEN concat_ws('; ', 'AccessKey ' || mask_key(access_key_id) || ' asked who it is',
            CAST(refused_after AS VARCHAR) || ' calls of the key were refused within 10 minutes after it')
        ELSE concat_ws('; ', 'Had a report on all credentials made', 'With AccessKey ' || mask_key(access_key_id))
    END AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM counted
WHERE (event_action = 'getcalleridentity' AND outcome = 'success' AND refused_after >= 3)
   OR (event_action = 'generatecredentialreport' AND outcome = 'success')
