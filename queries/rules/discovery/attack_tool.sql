-- Also where the call was refused: the attempt is what matters.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'user agent ' || user_agent,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE regexp_like(user_agent, '(?i)(kali|parrot os|pacu|cloudfox|trufflehog|scoutsuite|accesskey.?tools|nuclei|sqlmap|prowler)')
