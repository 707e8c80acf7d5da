-- A hundred text messages or mails of one principal within ten minutes. A call that sends to a list counts as a hundred.
-- The windows run over few columns; the whole events are joined at the end.
WITH sent AS (
    SELECT
        event_key,
        event_time,
        coalesce(account_id, '') AS account,
        -- A role has another principal in every session.
        coalesce(role_name, principal_id, user_name, source_ip_address, '') AS sender,
        CASE WHEN event_action IN ('batchsendmail', 'sendbatchsms', 'batchsendmessagetoglobe') THEN 100 ELSE 1 END AS messages
    FROM events
    WHERE event_time IS NOT NULL
      AND outcome = 'success'
      AND event_action IN ('singlesendmail', 'batchsendmail', 'sendsms', 'sendbatchsms', 'sendmessagetoglobe', 'batchsendmessagetoglobe', 'sendmessagewithtemplate')
      AND lower(service_name) IN ('dm', 'dysms', 'dysmsapi', 'dysmsapi-intl', 'sms')
),
counted AS (
    SELECT *, sum(messages) OVER (PARTITION BY account, sender ORDER BY event_time RANGE BETWEEN INTERVAL '10 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM sent
),
marked AS (
    SELECT event_key, sender, max(in_window) OVER (PARTITION BY account, sender ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.sender,
    CASE
        WHEN event_action LIKE '%batch%' THEN 'Sent messages to a list of receivers by one call'
        ELSE 'Sent a hundred messages or more within ten minutes'
    END AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 100
