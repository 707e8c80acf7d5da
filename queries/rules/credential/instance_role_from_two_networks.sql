-- The credentials of one instance's role, used from two networks (/24, for IPv6 /48) within any hour. Sessions of instance
-- roles are named after the instance: `vm-ram-i-...`, or `i-...`. The corporate ranges are one network. A list of
-- addresses, as a proxy writes it, is the networks of its addresses together. Private addresses name no network: an instance
-- reaches some services inside and others over its gateway. So an instance that speaks from inside, and within an hour from
-- a network that its role was not seen in on the seven days before, is reported too; with severity low where the role is
-- new itself. And an instance lies in one VPC, whatever its address. The windows run over few columns; the whole events are
-- joined at the end.
WITH used AS (
    SELECT event_key, event_time, coalesce(account_id, '') AS account,
           regexp_replace(lower(session_name), '^vm-ram-', '') AS who,
           ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '11.0.0.0/8') OR ip_in_cidr(source_ip, '100.64.0.0/10') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '127.0.0.0/8') OR ip_in_cidr(source_ip, 'fc00::/7') OR ip_in_cidr(source_ip, 'fe80::/10') AS is_private,
           ip_in(source_ip, 'corporate_cidrs', event_time) AS inside,
           CASE WHEN source_class = 'garbage' THEN regexp_replace(regexp_replace(source_ip_address, '\.[0-9]+ *([,;]|$)', '\1', 'g'), '([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F]*):[0-9a-fA-F:]*', '\1', 'g')
                ELSE left(encode(source_ip, 'hex'), CASE WHEN encode(source_ip, 'hex') LIKE '00000000000000000000ffff%' THEN 30 ELSE 12 END) END AS network,
           nullif(vpc_id, '') AS vpc, lower(coalesce(role_name, '')) AS role, source_class, date_bin(INTERVAL '1 day', event_time) AS day
    FROM events
    WHERE event_time IS NOT NULL AND credential_kind = 'temporary'
      AND (source_class IN ('ip', 'internal', 'missing') OR source_class = 'garbage' AND regexp_like(source_ip_address, '^ *[0-9a-fA-F.:]+( *[,;] *[0-9a-fA-F.:]+)+ *$'))
      AND (lower(session_name) LIKE 'i-%' OR lower(session_name) LIKE 'vm-ram-i-%')
),
placed AS (
    SELECT *, CASE WHEN is_private THEN NULL WHEN inside THEN 'corporate' ELSE network END AS place, is_private OR source_class = 'internal' AS speaks_inside FROM used
),
days AS (
    SELECT DISTINCT account, role, place, day FROM placed
),
role_days AS (
    SELECT account, role, day, lag(day) OVER (PARTITION BY account, role ORDER BY day) AS role_before
    FROM (SELECT DISTINCT account, role, day FROM days)
),
place_days AS (
    SELECT account, role, place, day, lag(day) OVER (PARTITION BY account, role, place ORDER BY day) AS place_before
    FROM (SELECT DISTINCT account, role, place, day FROM days WHERE place IS NOT NULL)
),
-- Most instances use one network alone: their windows need not be counted.
spread AS (
    SELECT *,
        coalesce(min(place) OVER whole <> max(place) OVER whole, false) OR coalesce(min(vpc) OVER whole <> max(vpc) OVER whole, false)
            OR max(CASE WHEN speaks_inside THEN 1 ELSE 0 END) OVER whole = 1 AND min(place) OVER whole IS NOT NULL AS in_several
    FROM placed
    WINDOW whole AS (PARTITION BY account, who)
),
located AS (
    SELECT event_key, event_time, account, role, who, day, place, vpc, speaks_inside,
           coalesce(place <> 'corporate', false) AS may_be_new
    FROM spread
    WHERE in_several
),
counted AS (
    SELECT *, count(DISTINCT place) OVER before AS networks, count(DISTINCT vpc) OVER before AS vpcs,
           max(CASE WHEN speaks_inside THEN event_time END) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '60 minutes' PRECEDING AND INTERVAL '60 minutes' FOLLOWING) AS inside_at
    FROM located
    WINDOW before AS (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '60 minutes' PRECEDING AND CURRENT ROW)
),
marked AS (
    SELECT *, max(greatest(networks, vpcs)) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '60 minutes' FOLLOWING) AS most
    FROM counted
),
judged AS (
    SELECT
        marked.event_key, marked.who, marked.most,
        may_be_new AND inside_at IS NOT NULL AND NOT coalesce(place_before >= marked.day - INTERVAL '7 days', false) AS is_new,
        coalesce(role_before >= marked.day - INTERVAL '7 days', false) AS role_known
    FROM marked
    LEFT JOIN place_days ON place_days.account = marked.account AND place_days.role = marked.role AND place_days.place = marked.place AND place_days.day = marked.day
    LEFT JOIN role_days ON role_days.account = marked.account AND role_days.role = marked.role AND role_days.day = marked.day
    WHERE most >= 2 OR may_be_new AND inside_at IS NOT NULL
)
SELECT
    events.*,
    judged.who,
    CASE WHEN most >= 2 OR role_known THEN 'high' ELSE 'low' END AS severity,
    CASE WHEN most < 2 AND role_known THEN 'new-network' WHEN most < 2 THEN 'undetermined' END AS variant,
    concat_ws('; ',
        CASE
            WHEN most >= 2 THEN 'The credentials of instance ' || judged.who || ' were used from ' || CAST(most AS VARCHAR) || ' networks within an hour'
            ELSE 'The credentials of instance ' || judged.who || ' were used from ' || coalesce(client_ip, source_ip_address) || ', and within an hour from inside of the cloud'
        END,
        'The role is ' || role_name,
        CASE WHEN most < 2 AND role_known THEN 'No session of the role was seen in this network on the 7 days before' END,
        'The call came from ' || client_ip,
        'The call came from inside the VPC ' || nullif(vpc_id, '')) AS why,
    CASE WHEN most < 2 AND NOT role_known THEN 'From which networks the role is used as a rule' END AS unknowns
FROM judged
JOIN events ON events.event_key = judged.event_key
WHERE most >= 2 OR is_new
