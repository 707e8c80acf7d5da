-- A sign-in from a network the user did not sign in from in the thirty days before, although they did sign in.
WITH signed_in AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, coalesce(principal_id, login_account, user_name) AS who, geo_asn(source_ip) AS place
    FROM events
    WHERE event_time IS NOT NULL AND outcome = 'success' AND source_class = 'ip'
      AND (event_action LIKE 'consolesignin%' OR (event_action = 'login' AND lower(service_name) = 'cloudsso'))
      -- The company's own IP ranges can appear in any country.
      AND NOT coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false)
),
followed AS (
    SELECT *,
           lag(event_time) OVER (PARTITION BY account, who, place ORDER BY event_time, event_key) AS before
    FROM signed_in
    WHERE who IS NOT NULL AND place IS NOT NULL
),
fresh AS (
    SELECT * FROM followed WHERE before IS NULL OR before < event_time - INTERVAL '30 days'
),
-- Only users who signed in before: every place of a new user is new.
known AS (
    SELECT DISTINCT fresh.event_key, fresh.who, fresh.place
    FROM fresh
    JOIN followed AS earlier ON earlier.account = fresh.account AND earlier.who = fresh.who
    WHERE earlier.event_time >= fresh.event_time - INTERVAL '30 days' AND earlier.event_time < fresh.event_time - INTERVAL '7 days'
)
SELECT
    events.*,
    known.who,
    concat_ws('; ', 'network ' || place, 'not seen of ' || coalesce(user_name, login_account, known.who) || ' for 30 days', 'from ' || source_ip_address, 'mfa = ' || mfa) AS why,
    CASE WHEN mfa = 'unknown' THEN 'MFA' END AS unknowns
FROM known
JOIN events ON events.event_key = known.event_key
