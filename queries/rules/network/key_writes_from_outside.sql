-- A long-term key that works inside of the company's ranges changes something from outside of them, or from an address that
-- nobody knows, which it did not do in the thirty days before. A key that always works outside, such as that of a server
-- elsewhere, has no inside to leave. Only the first change of a day can be the first of thirty, so the windows run over days.
WITH used AS (
    SELECT
        event_key,
        event_time,
        coalesce(account_id, '') AS account,
        access_key_id AS who,
        coalesce(lower(event_rw), 'write') <> 'read' AS is_change,
        CASE
            WHEN source_class <> 'ip' THEN 'unknown'
            WHEN ip_in(source_ip, 'corporate_cidrs', event_time) THEN 'inside'
            -- An IPv6 address, while the ranges list none.
            WHEN ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL THEN 'unknown'
            ELSE 'outside'
        END AS place
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind = 'long_term' AND outcome = 'success'
),
days AS (
    SELECT
        account,
        who,
        date_bin(INTERVAL '1 day', event_time) AS day,
        min(event_time) FILTER (WHERE place = 'inside') AS first_inside,
        max(event_time) FILTER (WHERE place = 'inside') AS last_inside,
        min(event_time) FILTER (WHERE place = 'outside' AND is_change) AS first_outside,
        max(event_time) FILTER (WHERE place = 'outside' AND is_change) AS last_outside,
        first_value(event_key ORDER BY event_time, event_key) FILTER (WHERE place = 'outside' AND is_change) AS outside_key,
        min(event_time) FILTER (WHERE place = 'unknown' AND is_change) AS first_unknown,
        max(event_time) FILTER (WHERE place = 'unknown' AND is_change) AS last_unknown,
        first_value(event_key ORDER BY event_time, event_key) FILTER (WHERE place = 'unknown' AND is_change) AS unknown_key
    FROM used
    GROUP BY account, who, date_bin(INTERVAL '1 day', event_time)
),
followed AS (
    SELECT
        *,
        max(last_inside) OVER (PARTITION BY account, who ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS inside_before,
        max(last_outside) OVER (PARTITION BY account, who ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS outside_before,
        max(last_unknown) OVER (PARTITION BY account, who ORDER BY day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS unknown_before
    FROM days
),
found AS (
    SELECT outside_key AS event_key, CAST(NULL AS VARCHAR) AS variant, CAST(NULL AS VARCHAR) AS severity
    FROM followed
    WHERE (inside_before >= first_outside - INTERVAL '30 days' OR first_inside < first_outside)
      AND (outside_before IS NULL OR outside_before < first_outside - INTERVAL '30 days')
    UNION ALL
    SELECT unknown_key, 'undetermined', 'low'
    FROM followed
    WHERE (inside_before >= first_unknown - INTERVAL '30 days' OR first_inside < first_unknown)
      AND (unknown_before IS NULL OR unknown_before < first_unknown - INTERVAL '30 days')
)
SELECT
    events.*,
    found.variant,
    found.severity,
    concat_ws('; ',
        event_name || ' of ' || service_name || ' changed something with AccessKey ' || mask_key(access_key_id),
        CASE WHEN found.variant IS NULL THEN 'The call came from ' || source_ip_address || ', which is in no corporate range' END,
        'In the 30 days before, the key worked inside and changed nothing from such a place') AS why,
    nullif(concat_ws('; ', CASE WHEN event_rw IS NULL THEN 'Whether the call changes anything (counted as a change)' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')'
            WHEN found.variant = 'undetermined' THEN 'Whether the address belongs to the company (the corporate ranges list no IPv6)' END), '') AS unknowns
FROM found
JOIN events ON events.event_key = found.event_key
