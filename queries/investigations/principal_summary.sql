--! question = { en = "What does this principal do, in sum?", zh = "这个身份的行为概况是什么？" }
--! when = "To tell the usual from the unusual of one principal: services, regions, addresses, agents, keys, calls that failed."
--! next = ["principal_timeline: one by one", "address: who else comes from an address", "new_this_week: what of it is new"]
--! [parameters.principal]
--! meaning = "Principal id, user name, or role name."
--! [parameters.since]
--! kind = "time"
--! default = "-30d"
--! meaning = "From when on."
--! [parameters.until]
--! kind = "time"
--! default = "now"
--! meaning = "Until when, this moment not included."
--! [parameters.account]
--! default = ""
--! meaning = "Only in this account, where several have the name."
WITH theirs AS MATERIALIZED (
    SELECT event_time, service_name, acs_region, source_ip_address, user_agent, mask_key(access_key_id) AS access_key_id, event_name, error_code,
           mfa, outcome
    FROM events
    WHERE (principal_id = $principal OR user_name = $principal OR role_name = $principal)
      AND ($account = '' OR account_id = $account)
      AND event_time >= $since AND event_time < $until
),
facets AS (
    SELECT 1 AS place, 'all' AS facet, CAST(NULL AS VARCHAR) AS value, event_time, outcome FROM theirs
    UNION ALL SELECT 2, 'service', service_name, event_time, outcome FROM theirs
    UNION ALL SELECT 3, 'region', acs_region, event_time, outcome FROM theirs
    UNION ALL SELECT 4, 'address', source_ip_address, event_time, outcome FROM theirs
    UNION ALL SELECT 5, 'agent', user_agent, event_time, outcome FROM theirs
    UNION ALL SELECT 6, 'access key', access_key_id, event_time, outcome FROM theirs
    UNION ALL SELECT 7, 'mfa', mfa, event_time, outcome FROM theirs
    UNION ALL SELECT 8, 'call', event_name, event_time, outcome FROM theirs
    UNION ALL SELECT 9, 'error', error_code, event_time, outcome FROM theirs WHERE outcome = 'failure'
)
SELECT facet, value, count(*) AS events, count(*) FILTER (WHERE outcome = 'failure') AS failures, min(event_time) AS first_seen, max(event_time) AS last_seen
FROM facets
GROUP BY place, facet, value
ORDER BY place, events DESC, value
