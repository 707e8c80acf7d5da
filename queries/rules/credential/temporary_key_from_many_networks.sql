-- One temporary key (STS) used from three or more networks (/24, for IPv6 /48) within any hour.
-- The corporate ranges are one network. Private addresses name no network, because every VPC has them. Data events are left out: apps
-- hand temporary keys to their clients to read and write objects.
-- The windows run over few columns; the whole events are joined at the end.
WITH used AS (
    SELECT event_key, event_time, access_key_id AS who,
           CASE WHEN ip_in(source_ip, 'corporate_cidrs', event_time) THEN 'corporate'
                ELSE left(encode(source_ip, 'hex'), CASE WHEN encode(source_ip, 'hex') LIKE '00000000000000000000ffff%' THEN 30 ELSE 12 END) END AS thing
    FROM events
    WHERE event_time IS NOT NULL AND source_class = 'ip' AND access_key_id LIKE 'STS.%' AND coalesce(lower(event_category), '') <> 'data'
      AND NOT (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '11.0.0.0/8') OR ip_in_cidr(source_ip, '100.64.0.0/10') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '127.0.0.0/8') OR ip_in_cidr(source_ip, 'fc00::/7') OR ip_in_cidr(source_ip, 'fe80::/10'))
),
counted AS (
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY who ORDER BY event_time RANGE BETWEEN INTERVAL '60 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM used
),
marked AS (
    SELECT event_key, max(in_window) OVER (PARTITION BY who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '60 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    concat_ws('; ',
        'The temporary key ' || mask_key(access_key_id) || ' was used from ' || CAST(most AS VARCHAR) || ' networks within an hour',
        'The key belongs to the session ' || session_name || ' of role ' || role_name,
        'The call came from ' || source_ip_address) AS why
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 3
