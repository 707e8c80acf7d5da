-- One temporary key (STS) used from three or more networks (/24, for IPv6 /48) within any hour, or from five or more
-- addresses in two networks. The corporate ranges are one network, and a list of addresses, as a proxy writes it, is the
-- networks of its addresses together. Private addresses name no network, because every VPC has them. Data events are left
-- out: apps hand temporary keys to their clients to read and write objects. The windows run over few columns; the whole
-- events are joined at the end.
WITH used AS (
    SELECT event_key, event_time, access_key_id AS who,
           CASE WHEN source_class = 'garbage' THEN regexp_replace(regexp_replace(source_ip_address, '\.[0-9]+ *([,;]|$)', '\1', 'g'), '([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F]*):[0-9a-fA-F:]*', '\1', 'g')
                WHEN ip_in(source_ip, 'corporate_cidrs', event_time) THEN 'corporate'
                ELSE left(encode(source_ip, 'hex'), CASE WHEN encode(source_ip, 'hex') LIKE '00000000000000000000ffff%' THEN 30 ELSE 12 END) END AS network,
           CASE WHEN ip_in(source_ip, 'corporate_cidrs', event_time) THEN 'corporate' ELSE coalesce(encode(source_ip, 'hex'), source_ip_address) END AS address
    FROM events
    WHERE event_time IS NOT NULL AND access_key_id LIKE 'STS.%' AND coalesce(lower(event_category), '') <> 'data'
      AND (source_class = 'garbage' AND regexp_like(source_ip_address, '^ *[0-9a-fA-F.:]+( *[,;] *[0-9a-fA-F.:]+)+ *$')
        OR source_class = 'ip' AND NOT (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '11.0.0.0/8') OR ip_in_cidr(source_ip, '100.64.0.0/10') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '127.0.0.0/8') OR ip_in_cidr(source_ip, 'fc00::/7') OR ip_in_cidr(source_ip, 'fe80::/10')))
),
-- Most keys are used from one network alone: their windows need not be counted.
spread AS (
    SELECT *, min(network) OVER whole <> max(network) OVER whole AS in_several FROM used WINDOW whole AS (PARTITION BY who)
),
counted AS (
    SELECT *, count(DISTINCT network) OVER before AS networks, count(DISTINCT address) OVER before AS addresses
    FROM spread
    WHERE in_several
    WINDOW before AS (PARTITION BY who ORDER BY event_time RANGE BETWEEN INTERVAL '60 minutes' PRECEDING AND CURRENT ROW)
),
marked AS (
    SELECT
        event_key,
        max(networks) OVER after AS networks,
        max(addresses) OVER after AS addresses,
        max(CASE WHEN networks >= 3 OR networks >= 2 AND addresses >= 5 THEN 1 ELSE 0 END) OVER after AS is_too_many
    FROM counted
    WINDOW after AS (PARTITION BY who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '60 minutes' FOLLOWING)
)
SELECT
    events.*,
    concat_ws('; ',
        'The temporary key ' || mask_key(access_key_id) || ' was used from ' || CAST(addresses AS VARCHAR) || ' addresses in ' || CAST(networks AS VARCHAR) || ' networks within an hour',
        'The key belongs to the session ' || session_name || ' of role ' || role_name,
        'The call came from ' || source_ip_address) AS why
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE is_too_many = 1
