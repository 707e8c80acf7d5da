-- A client that names itself as an attack tool. Refused calls count too: the attempt matters.
SELECT
    events.*,
    concat_ws('; ',
        'The client calls itself ' || user_agent,
        'It called ' || event_name || ' of ' || service_name,
        CASE WHEN outcome = 'failure' THEN 'The call was refused' END) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
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
