-- One long-term key used from five or more networks (/24, for IPv6 /48) within any hour. A list of addresses, as a proxy
-- writes it, is the networks of its addresses together.
-- The windows run over few columns; the whole events are joined at the end.
WITH used AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account, access_key_id AS who,
           CASE WHEN source_class = 'garbage' THEN regexp_replace(regexp_replace(source_ip_address, '\.[0-9]+ *([,;]|$)', '\1', 'g'), '([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F]*):[0-9a-fA-F:]*', '\1', 'g')
                ELSE left(encode(source_ip, 'hex'), CASE WHEN encode(source_ip, 'hex') LIKE '00000000000000000000ffff%' THEN 30 ELSE 12 END) END AS thing
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind = 'long_term'
      AND (source_class = 'ip' OR source_class = 'garbage' AND regexp_like(source_ip_address, '^ *[0-9a-fA-F.:]+( *[,;] *[0-9a-fA-F.:]+)+ *$'))
),
-- Most keys are used from one network alone: their windows need not be counted.
spread AS (
    SELECT *, min(thing) OVER whole <> max(thing) OVER whole AS in_several
    FROM used WHERE who IS NOT NULL
    WINDOW whole AS (PARTITION BY account, who)
),
counted AS (
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '60 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM spread WHERE in_several
),
marked AS (
    SELECT event_key, who, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '60 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ',
        'AccessKey ' || mask_key(access_key_id) || ' was used from ' || CAST(most AS VARCHAR) || ' networks within an hour',
        'The call came from ' || source_ip_address) AS why
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 5
