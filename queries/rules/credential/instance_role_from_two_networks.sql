-- The credentials of one instance's role, used from two networks (/24, for IPv6 /48) within any hour. Sessions of instance
-- roles are named after the instance: `vm-ram-i-...`, or `i-...`. The corporate ranges are one network, and a list of
-- addresses, as a proxy writes it, is the networks of its addresses together. Private addresses name no network: an instance
-- reaches some services inside and others over its gateway. But an instance lies in one VPC, whatever its address. The
-- windows run over few columns; the whole events are joined at the end.
WITH used AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account,
           regexp_replace(lower(session_name), '^vm-ram-', '') AS who,
           ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '11.0.0.0/8') OR ip_in_cidr(source_ip, '100.64.0.0/10') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '127.0.0.0/8') OR ip_in_cidr(source_ip, 'fc00::/7') OR ip_in_cidr(source_ip, 'fe80::/10') AS is_private,
           ip_in(source_ip, 'corporate_cidrs', event_time) AS inside,
           CASE WHEN source_class = 'garbage' THEN regexp_replace(regexp_replace(source_ip_address, '\.[0-9]+ *([,;]|$)', '\1', 'g'), '([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F]*):[0-9a-fA-F:]*', '\1', 'g')
                ELSE left(encode(source_ip, 'hex'), CASE WHEN encode(source_ip, 'hex') LIKE '00000000000000000000ffff%' THEN 30 ELSE 12 END) END AS network,
           nullif(vpc_id, '') AS vpc
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind = 'temporary'
      AND (source_class IN ('ip', 'internal', 'missing') OR source_class = 'garbage' AND regexp_like(source_ip_address, '^ *[0-9a-fA-F.:]+( *[,;] *[0-9a-fA-F.:]+)+ *$'))
      AND (lower(session_name) LIKE 'i-%' OR lower(session_name) LIKE 'vm-ram-i-%')
),
-- Most instances use one network alone: their windows need not be counted.
placed AS (
    SELECT *, CASE WHEN is_private THEN NULL WHEN inside THEN 'corporate' ELSE network END AS place FROM used
),
spread AS (
    SELECT *, coalesce(min(place) OVER whole <> max(place) OVER whole, false) OR coalesce(min(vpc) OVER whole <> max(vpc) OVER whole, false) AS in_several
    FROM placed
    WINDOW whole AS (PARTITION BY account, who)
),
counted AS (
    SELECT *, count(DISTINCT place) OVER before AS networks, count(DISTINCT vpc) OVER before AS vpcs
    FROM spread
    WHERE in_several
    WINDOW before AS (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '60 minutes' PRECEDING AND CURRENT ROW)
),
marked AS (
    SELECT event_key, who, max(greatest(networks, vpcs)) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '60 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    events.*,
    marked.who,
    concat_ws('; ',
        'The credentials of instance ' || marked.who || ' were used from ' || CAST(most AS VARCHAR) || ' networks within an hour',
        'The role is ' || role_name,
        'The call came from ' || client_ip,
        'The call came from inside the VPC ' || nullif(vpc_id, '')) AS why
FROM marked
JOIN events ON events.event_key = marked.event_key
WHERE most >= 2
