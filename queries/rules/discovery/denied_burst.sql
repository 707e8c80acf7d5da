-- More than five refused calls of one principal to one service within any two minutes; or more than five keys that are not valid,
-- or refused callers that the event does not name, from one address: whoever tries keys out has no name yet.
-- The windows run over few columns; the whole events are joined at the end.
WITH refused AS (
    SELECT
        event_key,
        event_time,
        coalesce(account_id, '') AS account,
        principal_id,
        coalesce(lower(service_name), '') AS service,
        -- One wrong key that a program tries again and again is one key.
        coalesce(access_key_id, encode(event_key, 'hex')) AS caller,
        CASE WHEN principal_id IS NULL OR error_code LIKE 'InvalidAccessKeyId%' OR error_code LIKE 'InvalidSecurityToken%' OR error_code = 'SignatureDoesNotMatch'
            THEN CASE WHEN source_class = 'ip' THEN encode(source_ip, 'hex') ELSE 'not known' END END AS address
    FROM events
    WHERE event_time IS NOT NULL AND outcome = 'failure' AND (error_code LIKE 'NoPermission%' OR error_code LIKE 'Forbidden%' OR error_code LIKE 'InvalidAccessKeyId%' OR error_code LIKE 'InvalidSecurityToken%'
      OR error_code IN ('Forbbiden', 'SignatureDoesNotMatch', 'InvalidAuthorization', 'AccessForbidden', 'NotAuthorized'))
),
grouped AS (
    SELECT event_key, event_time, account, principal_id || ' ' || service AS who, encode(event_key, 'hex') AS counted, false AS by_address FROM refused WHERE principal_id IS NOT NULL
    UNION ALL
    SELECT event_key, event_time, account, 'address ' || address, caller, true FROM refused WHERE address IS NOT NULL
),
counts AS (
    SELECT *, count(DISTINCT counted) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '2 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM grouped
),
marked AS (
    SELECT event_key, who, by_address, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '2 minutes' FOLLOWING) AS most
    FROM counts
)
SELECT
    events.*,
    marked.who,
    -- From where is not known: nobody can say that it was one caller.
    CASE WHEN by_address AND source_class <> 'ip' THEN 'undetermined' END AS variant,
    CASE WHEN by_address AND source_class <> 'ip' THEN 'low' END AS severity,
    concat_ws('; ',
        CAST(most AS VARCHAR) || CASE WHEN by_address AND source_class = 'ip' THEN ' keys or unnamed callers from ' || source_ip_address || ' were refused within 2 minutes'
            WHEN by_address THEN ' keys or unnamed callers were refused within 2 minutes' ELSE ' calls were refused within 2 minutes' END,
        service_name || ' refused ' || event_name || ' with ' || error_code) AS why,
    nullif(concat_ws('; ', CASE WHEN principal_id IS NULL THEN 'Who called' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END), '') AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 6
