-- Fifty or more failed calls with one long-term key, or with the temporary keys of one session, within any half hour.
-- The windows run over few columns; the whole events are joined at the end.
WITH failed AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, CASE WHEN credential_kind = 'temporary' THEN coalesce(principal_id, access_key_id) ELSE access_key_id END AS who
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind IN ('long_term', 'temporary') AND outcome = 'failure'
),
counted AS (
    SELECT *, count(*) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '30 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM failed WHERE who IS NOT NULL
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '30 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ',
        CAST(most AS VARCHAR) || ' calls with AccessKey ' || mask_key(access_key_id) || ' failed within 30 minutes',
        'The service answered ' || error_code,
        'The call came from ' || source_ip_address) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 50
