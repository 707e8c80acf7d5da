-- Two consecutive sign-ins of one user from places so far apart that nobody could have travelled between them.
WITH signed_in AS (
    SELECT event_key, event_time, source_ip, source_ip_address, coalesce(account_id, '') AS account, coalesce(principal_id, login_account, user_name) AS who
    FROM events
    WHERE event_time IS NOT NULL AND outcome = 'success' AND source_class = 'ip'
      AND (event_action LIKE 'consolesignin%' OR (event_action = 'login' AND lower(service_name) = 'cloudsso'))
      -- The location of a company gateway is not the location of the person.
      AND NOT coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false)
),
followed AS (
    SELECT event_key, event_time, source_ip, who,
           lag(event_time) OVER (PARTITION BY account, who ORDER BY event_time, event_key) AS time_before,
           lag(source_ip) OVER (PARTITION BY account, who ORDER BY event_time, event_key) AS ip_before,
           lag(source_ip_address) OVER (PARTITION BY account, who ORDER BY event_time, event_key) AS address_before
    FROM signed_in
    WHERE who IS NOT NULL
),
measured AS (
    SELECT event_key, who, address_before, geo_km(source_ip, ip_before) AS kilometres,
           date_part('epoch', event_time) - date_part('epoch', time_before) AS seconds
    FROM followed
    WHERE time_before >= event_time - INTERVAL '1 day'
)
SELECT
    events.*,
    measured.who,
    concat_ws('; ',
        CAST(CAST(kilometres AS BIGINT) AS VARCHAR) || ' km from the sign-in before, from ' || address_before,
        CAST(CAST(seconds / 60 AS BIGINT) AS VARCHAR) || ' minutes after it',
        'mfa = ' || mfa) AS why,
    'how exact the places of the addresses are' AS unknowns
FROM measured
JOIN events ON events.event_key = measured.event_key
-- Faster than an airliner, and farther than the error of IP databases.
WHERE kilometres > 500 AND kilometres * 3600 > 900 * seconds
