-- Refused calls count too: the attempt matters.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'user agent ' || user_agent,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE (lower(user_agent) LIKE '%kali%'
    OR lower(user_agent) LIKE '%parrot os%'
    OR lower(user_agent) LIKE '%pacu%'
    OR lower(user_agent) LIKE '%cloudfox%'
    OR lower(user_agent) LIKE '%trufflehog%'
    OR lower(user_agent) LIKE '%scoutsuite%'
    OR lower(user_agent) LIKE '%accesskey-tools%'
    OR lower(user_agent) LIKE '%accesskeytools%'
    OR lower(user_agent) LIKE '%nuclei%'
    OR lower(user_agent) LIKE '%sqlmap%'
    OR lower(user_agent) LIKE '%prowler%')
