-- Thirty or more kinds of reading calls with one long-term key, or with the temporary keys of one session of a role, within
-- any ten minutes.
-- The windows run over few columns; the whole events are joined at the end.
WITH looked AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, CASE WHEN credential_kind = 'temporary' THEN coalesce(principal_id, access_key_id) ELSE access_key_id END AS who,
           lower(service_name) || ' ' || event_action AS thing
    FROM events
    WHERE event_time IS NOT NULL AND lower(event_rw) = 'read' AND (credential_kind = 'long_term' OR access_key_id LIKE 'STS.%')
),
-- Who never made thirty calls within ten minutes cannot have made thirty kinds of them: most windows need not be counted.
paced AS (
    SELECT *, lag(event_time, 29) OVER (PARTITION BY account, who ORDER BY event_time) >= event_time - INTERVAL '10 minutes' AS ends_burst
    FROM looked WHERE who IS NOT NULL
),
hasty AS (
    SELECT *, max(CASE WHEN ends_burst THEN 1 ELSE 0 END) OVER (PARTITION BY account, who) AS has_burst FROM paced
),
counted AS (
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM hasty WHERE has_burst = 1
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    CAST(most AS VARCHAR) || ' kinds of reading calls within 10 minutes with AccessKey ' || mask_key(access_key_id) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 30
