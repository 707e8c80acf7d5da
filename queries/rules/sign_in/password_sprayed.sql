-- Five or more users whose sign-ins failed from one address within any half hour, to the console or to CloudSSO.
-- A list of addresses, as a proxy writes it, is one address. Failures whose source is no address (Internal, a host name,
-- nothing) may come from one place: they are counted together, as undetermined.
-- The windows run over few columns; the whole events are joined at the end.
WITH failed AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account,
           CASE WHEN source_class IN ('ip', 'garbage') THEN coalesce(client_ip, source_ip_address) ELSE '' END AS who,
           coalesce(principal_id, login_account, user_name) AS thing
    FROM events
    WHERE event_time IS NOT NULL AND outcome = 'failure'
      AND (event_action LIKE 'consolesignin%' OR event_action = 'login' AND lower(service_name) = 'cloudsso')
),
counted AS (
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '30 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM failed WHERE who IS NOT NULL
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '30 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    CASE WHEN marked.who = '' THEN 'low' ELSE 'high' END AS severity,
    CASE WHEN marked.who = '' THEN 'undetermined' END AS variant,
    concat_ws('; ',
        CASE WHEN marked.who = '' THEN 'Sign-ins of ' || CAST(most AS VARCHAR) || ' users failed within 30 minutes, and the trail does not show from where'
             ELSE 'Sign-ins of ' || CAST(most AS VARCHAR) || ' users failed within 30 minutes from ' || marked.who END,
        'The service answered ' || error_code) AS why,
    CASE WHEN marked.who = '' THEN 'Whether the sign-ins came from one address' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 5
