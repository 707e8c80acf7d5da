-- Something that lets the whole internet in, or a large part of it: a rule of a security group, a prefix list, the access list of
-- a load balancer, or a port of a NAT gateway that leads to an entrance. Each entry of a call is judged by itself, so that a
-- harmless entry beside it hides nothing. The ranges of all entries count together: two halves of the internet are the internet.
-- So do those of an hour: from sixteen million public addresses on, they are a part of the internet. An entrance that is opened to
-- addresses outside of the company, such as the caller's own, counts where the company's ranges are known.
WITH calls AS (
    SELECT
        event_key,
        event_time,
        event_action,
        coalesce(account_id, '') AS account,
        source_ip,
        lower(service_name) AS service,
        request_parameters,
        request_parameter_json,
        resource_name
    FROM events
    WHERE event_action IN ('authorizesecuritygroup', 'modifysecuritygrouprule', 'configuresecuritygrouppermissions', 'createprefixlist',
            'modifyprefixlist', 'addaccesscontrollistentry', 'addlistenerwhitelistitem', 'addentriestoacl', 'setlisteneraccesscontrolstatus',
            'setloadbalancertcplistenerattribute', 'setloadbalancerudplistenerattribute', 'setloadbalancerhttplistenerattribute',
            'setloadbalancerhttpslistenerattribute', 'dissociateaclsfromlistener', 'createforwardentry', 'modifyforwardentry')
      AND lower(service_name) IN ('ecs', 'slb', 'alb', 'vpc')
      AND outcome = 'success'
),
-- One row for each entry of a call. The call itself is one too: a call with one entry has it among its own parameters.
listed AS (
    SELECT
        event_key,
        service,
        -- Only rules of security groups have ports, a protocol and a policy: whoever calls can add them to the others.
        event_action IN ('authorizesecuritygroup', 'modifysecuritygrouprule', 'configuresecuritygrouppermissions') AS is_rule,
        unnest(array_concat(coalesce(entries(request_parameters, request_parameter_json, 'Permissions'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'Entry'), make_array()),
            coalesce(entries(request_parameters, request_parameter_json, 'AddEntry'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'AclEntrys'), make_array()),
            coalesce(entries(request_parameters, request_parameter_json, 'AclEntries'), make_array()), make_array(request_parameters, request_parameter_json))) AS entry
    FROM calls
    WHERE event_action IN ('authorizesecuritygroup', 'modifysecuritygrouprule', 'configuresecuritygrouppermissions', 'createprefixlist',
            'modifyprefixlist', 'addaccesscontrollistentry', 'addlistenerwhitelistitem', 'addentriestoacl')
),
entry_members AS (
    SELECT
        event_key,
        service,
        is_rule,
        concat_ws(',', array_to_string(values_at(entry, 'SourceCidrIp'), ','), array_to_string(values_at(entry, 'Ipv6SourceCidrIp'), ','),
            array_to_string(values_at(entry, 'Cidr'), ','), array_to_string(values_at(entry, 'entry'), ','),
            array_to_string(values_at(entry, 'SourceItems'), ',')) AS sources,
        CASE WHEN is_rule THEN replace(array_to_string(values_at(entry, 'PortRange'), ','), ' ', '') END AS ports,
        CASE WHEN is_rule THEN coalesce(lower(array_to_string(values_at(entry, 'IpProtocol'), ',')), '') ELSE '' END AS protocols,
        -- Only an entry all of whose policies drop is one that drops: whoever calls can add a parameter of nearly the same name.
        is_rule AND coalesce(regexp_like(lower(array_to_string(values_at(entry, 'Policy'), ',')), '^ *drop *(, *drop *)*$'), false) AS drops
    FROM listed
    WHERE entry IS NOT NULL
),
accepting AS (
    SELECT
        event_key,
        service,
        sources,
        ports,
        protocols,
        coalesce(regexp_like(ports, '^(80/80|443/443)(,(80/80|443/443))*$'), false) AS is_web,
        TRY_CAST(split_part(ports, '/', 1) AS INT) AS first_port,
        TRY_CAST(split_part(ports, '/', 2) AS INT) AS last_port
    FROM entry_members
    WHERE NOT drops AND internet_share(sources) > 0
),
judged AS (
    SELECT
        event_key,
        sources,
        ports,
        CASE
            WHEN service <> 'ecs' THEN 'access list'
            WHEN regexp_like(protocols, '^ *icmp(v6)? *(, *icmp(v6)? *)*$') OR is_web THEN 'harmless'
            WHEN coalesce(ports, '') = '' THEN 'ports not known'
            -- Ports that intruders try first: remote access, databases and the interfaces of clusters. A range that cannot be read, and -1/-1, is every port.
            WHEN first_port IS NULL OR last_port IS NULL OR first_port < 1
                OR 22 BETWEEN first_port AND last_port OR 23 BETWEEN first_port AND last_port OR 135 BETWEEN first_port AND last_port
                OR 445 BETWEEN first_port AND last_port OR 1433 BETWEEN first_port AND last_port OR 1521 BETWEEN first_port AND last_port
                OR 2375 BETWEEN first_port AND last_port OR 3306 BETWEEN first_port AND last_port OR 3389 BETWEEN first_port AND last_port
                OR 5432 BETWEEN first_port AND last_port OR 5900 BETWEEN first_port AND last_port OR 5985 BETWEEN first_port AND last_port
                OR 6379 BETWEEN first_port AND last_port OR 6443 BETWEEN first_port AND last_port OR 9200 BETWEEN first_port AND last_port
                OR 10250 BETWEEN first_port AND last_port OR 11211 BETWEEN first_port AND last_port OR 27017 BETWEEN first_port AND last_port
                THEN 'entrance'
            ELSE 'other'
        END AS kind
    FROM accepting
),
-- Each range by itself, without those that every private network has.
ranges AS (
    SELECT event_key, kind, ports, range, address
    FROM (
        SELECT *, split_part(range, '/', 1) AS address, coalesce(TRY_CAST(nullif(split_part(range, '/', 2), '') AS INT), 128) AS bits
        FROM (SELECT event_key, kind, ports, unnest(string_to_array(regexp_replace(sources, '[\s,;]+', ',', 'g'), ',')) AS range FROM judged WHERE kind <> 'harmless')
    )
    WHERE ip_class(address) IN ('ip', 'internal')
      AND NOT coalesce(ip_in_cidr(address, '10.0.0.0/8') AND bits >= 8 OR ip_in_cidr(address, '172.16.0.0/12') AND bits >= 12 OR ip_in_cidr(address, '192.168.0.0/16') AND bits >= 16
        OR ip_in_cidr(address, '100.64.0.0/10') AND bits >= 10 OR ip_in_cidr(address, '127.0.0.0/8') AND bits >= 8 OR ip_in_cidr(address, '169.254.0.0/16') AND bits >= 16
        OR ip_in_cidr(address, 'fc00::/7') AND bits >= 7 OR ip_in_cidr(address, 'fe80::/10') AND bits >= 10, false)
),
public AS (
    SELECT event_key, internet_share(string_agg(range, ',')) AS public_share FROM ranges GROUP BY event_key
),
-- What the calls of the account have opened in the hour that ends with this one.
hourly AS (
    SELECT public.event_key, sum(public_share) OVER (PARTITION BY calls.account ORDER BY calls.event_time RANGE BETWEEN INTERVAL '1 hour' PRECEDING AND CURRENT ROW) AS hour_share
    FROM public
    JOIN calls ON calls.event_key = public.event_key
    WHERE event_time IS NOT NULL AND public_share > 0.00001
),
totals AS (
    SELECT
        event_key,
        internet_share(string_agg(sources, ',')) AS share,
        coalesce(internet_share(string_agg(sources, ',') FILTER (WHERE kind = 'entrance')), 0) AS entrance_share,
        coalesce(internet_share(string_agg(sources, ',') FILTER (WHERE kind <> 'harmless')), 0) AS notable_share,
        bool_or(kind = 'access list') AS has_access_list,
        bool_or(kind = 'ports not known') AS lacks_ports,
        array_to_string(array_sort(array_agg(DISTINCT CASE
            WHEN internet_share(sources) < 0.00001 THEN NULL
            WHEN coalesce(ports, '') = '' THEN 'Allowed ' || sources
            ELSE 'Allowed ' || sources || ' to reach ports ' || ports
        END)), '; ') AS allowed
    FROM judged
    GROUP BY event_key
),
summed AS (
    SELECT totals.*, coalesce(public_share, 0) AS public_share, coalesce(hour_share, public_share, 0) AS hour_share
    FROM totals
    LEFT JOIN public ON public.event_key = totals.event_key
    LEFT JOIN hourly ON hourly.event_key = totals.event_key
),
opened AS (
    SELECT
        event_key,
        CASE
            WHEN share >= 0.5 AND entrance_share >= 0.01 THEN 'critical'
            WHEN share >= 0.5 AND notable_share >= 0.01 OR entrance_share >= 0.01 OR entrance_share > 0.00001 AND hour_share >= 0.01 THEN 'high'
            WHEN notable_share >= 0.01 OR hour_share >= 0.0039 THEN 'medium'
            ELSE 'low'
        END AS severity,
        CASE WHEN notable_share < 0.01 AND hour_share < 0.0039 THEN 'web' WHEN share < 0.5 OR notable_share < 0.01 THEN 'part' END AS variant,
        concat_ws('; ', allowed, CASE WHEN share < 0.01 THEN 'That is ' || CAST(round(share * 10000) / 100 AS VARCHAR) || '% of the internet' WHEN share < 0.5 THEN 'That is ' || CAST(CAST(round(share * 100) AS INT) AS VARCHAR) || '% of the internet' END,
            CASE WHEN notable_share < 0.01 AND hour_share >= 0.0039 AND hour_share > public_share THEN 'The account opened at least ' || CASE WHEN hour_share >= 0.5 THEN '50' WHEN hour_share >= 0.1 THEN '10' WHEN hour_share >= 0.01 THEN '1' ELSE '0.39' END || '% of the internet within an hour' END) AS reason,
        concat_ws('; ',
            CASE WHEN has_access_list THEN 'Whether the access list allows or blocks' END,
            CASE WHEN lacks_ports THEN 'Which ports are open' END) AS not_known
    FROM summed
    -- A hundredth of the internet is more than all private ranges together, and more than any company has. Of public addresses
    -- alone, sixteen million (a range /8) are more than any company has.
    WHERE share >= 0.5 OR notable_share >= 0.01 OR hour_share >= 0.0039
),
-- An entrance that is opened to addresses outside of the company. The caller's own is the way in of whoever has stolen a key.
outside AS (
    SELECT
        event_key,
        count(*) AS amount,
        min(range) AS example,
        min(ports) AS ports,
        min(CASE WHEN is_own AND NOT is_inside THEN range END) AS own_range,
        bool_and(is_inside IS NULL) AS is_unknown
    FROM (
        SELECT
            ranges.event_key,
            range,
            ports,
            ip_in(address, 'corporate_cidrs', event_time) AS is_inside,
            ip_in('0.0.0.0', 'corporate_cidrs', event_time) IS NOT NULL AS has_ranges,
            coalesce(ip_in_cidr(source_ip, CASE WHEN range LIKE '%/%' THEN range WHEN range LIKE '%:%' THEN range || '/128' ELSE range || '/32' END), false) AS is_own
        FROM ranges
        JOIN calls ON calls.event_key = ranges.event_key
        WHERE kind = 'entrance'
    )
    -- Without any range of the company nobody is outside.
    WHERE NOT is_inside OR is_inside IS NULL AND has_ranges
    GROUP BY event_key
),
let_in AS (
    SELECT
        outside.event_key,
        CASE WHEN own_range IS NOT NULL THEN 'medium' ELSE 'low' END AS severity,
        CASE WHEN own_range IS NOT NULL THEN 'own address' WHEN is_unknown THEN 'outside-undetermined' ELSE 'outside' END AS variant,
        CASE
            WHEN own_range IS NOT NULL THEN 'Allowed ' || own_range || ' to reach ports ' || ports || '; The caller has such an address, which is in no corporate range'
            WHEN is_unknown THEN 'Allowed ' || example || ' to reach ports ' || ports || '; The corporate ranges list no IPv6'
            ELSE 'Allowed ' || example || ' to reach ports ' || ports || '; ' || CAST(amount AS VARCHAR) || ' such ranges are in no corporate range'
        END AS reason,
        CASE WHEN own_range IS NULL AND is_unknown THEN 'Whether the addresses belong to the company' ELSE '' END AS not_known
    FROM outside
    LEFT JOIN opened ON opened.event_key = outside.event_key
    WHERE opened.event_key IS NULL OR opened.severity = 'low' AND own_range IS NOT NULL
),
-- A load balancer's listener lost its access list: everybody reaches it.
unguarded AS (
    SELECT
        event_key,
        CASE WHEN event_action IN ('setlisteneraccesscontrolstatus', 'dissociateaclsfromlistener') THEN 'high' ELSE 'low' END AS severity,
        CASE WHEN event_action NOT IN ('setlisteneraccesscontrolstatus', 'dissociateaclsfromlistener') THEN 'listener' END AS variant,
        coalesce('Took the access list off listener ' || coalesce(param(request_parameters, request_parameter_json, 'ListenerId'),
            param(request_parameters, request_parameter_json, 'ListenerPort') || ' of load balancer ' || param(request_parameters, request_parameter_json, 'LoadBalancerId')), 'Took the access list off a listener') AS reason,
        CASE WHEN event_action NOT IN ('setlisteneraccesscontrolstatus', 'dissociateaclsfromlistener') THEN 'Whether the listener had an access list' END AS not_known
    FROM calls
    WHERE (event_action = 'setlisteneraccesscontrolstatus' AND any_is(values_at(request_parameters, request_parameter_json, 'AccessControlStatus'), 'equals', 'close')
        OR event_action IN ('setloadbalancertcplistenerattribute', 'setloadbalancerudplistenerattribute', 'setloadbalancerhttplistenerattribute', 'setloadbalancerhttpslistenerattribute')
            AND any_is(values_at(request_parameters, request_parameter_json, 'AclStatus'), 'equals', 'off')
        OR event_action = 'dissociateaclsfromlistener')
),
forwards AS (
    SELECT
        event_key,
        coalesce(param(request_parameters, request_parameter_json, 'ExternalIp'), '') AS outside,
        param(request_parameters, request_parameter_json, 'InternalIp') AS inside,
        param(request_parameters, request_parameter_json, 'ExternalPort') AS outside_port,
        param(request_parameters, request_parameter_json, 'InternalPort') AS inside_port,
        ',' || regexp_replace(lower(concat_ws(',', array_to_string(values_at(request_parameters, request_parameter_json, 'ExternalPort'), ','), array_to_string(values_at(request_parameters, request_parameter_json, 'InternalPort'), ','))), '[^a-z0-9,]+', '/', 'g') || ',' AS ports
    FROM calls
    WHERE event_action IN ('createforwardentry', 'modifyforwardentry')
),
-- A NAT gateway between private networks leads nothing in from the internet.
forwarded AS (
    SELECT
        event_key,
        'critical' AS severity,
        CAST(NULL AS VARCHAR) AS variant,
        concat_ws('; ', 'Forwarded port ' || coalesce(outside_port, '?') || ' of ' || CASE WHEN outside = '' THEN '?' ELSE outside END || ' to port ' || coalesce(inside_port, '?') || ' of ' || coalesce(inside, '?')) AS reason,
        CASE WHEN ip_class(outside) = 'ip' THEN '' ELSE 'Whether the outer address is one of the internet' END AS not_known
    FROM forwards
    WHERE regexp_like(ports, ',(any|22|23|135|445|1433|1521|2375|3306|3389|5432|5900|5985|6379|6443|9200|10250|11211|27017),|/')
      AND NOT coalesce(ip_in_cidr(outside, '10.0.0.0/8') OR ip_in_cidr(outside, '172.16.0.0/12') OR ip_in_cidr(outside, '192.168.0.0/16') OR ip_in_cidr(outside, '100.64.0.0/10'), false)
),
-- The event does not say what was opened: it names nothing that the call must name, whatever else it has.
unsaid AS (
    SELECT event_key, 'low' AS severity, 'undetermined' AS variant, 'Changed what a security group allows' AS reason, 'What the call allows' AS not_known
    FROM calls
    WHERE event_action IN ('authorizesecuritygroup', 'modifysecuritygrouprule', 'configuresecuritygrouppermissions')
      AND (request_parameters IS NULL AND request_parameter_json IS NULL OR resource_name IS NULL
        AND coalesce(values_at(request_parameters, request_parameter_json, 'SecurityGroupId'), values_at(request_parameters, request_parameter_json, 'PortRange'), values_at(request_parameters, request_parameter_json, 'SourceCidrIp'), values_at(request_parameters, request_parameter_json, 'Ipv6SourceCidrIp')) IS NULL
        -- Only one of the two has each of these.
        AND CASE WHEN event_action = 'modifysecuritygrouprule' THEN values_at(request_parameters, request_parameter_json, 'SecurityGroupRuleId') ELSE entries(request_parameters, request_parameter_json, 'Permissions') END IS NULL)
),
-- Other ports for a rule whose sources the call leaves as they are: they may be the whole internet.
other_ports AS (
    SELECT event_key, 'medium' AS severity, 'undetermined' AS variant, 'Changed the ports of a rule to ' || array_to_string(values_at(request_parameters, request_parameter_json, 'PortRange'), ', ') AS reason, 'Whom the rule lets in' AS not_known
    FROM calls
    WHERE event_action = 'modifysecuritygrouprule'
      AND values_at(request_parameters, request_parameter_json, 'PortRange') IS NOT NULL
      AND concat_ws('', array_to_string(values_at(request_parameters, request_parameter_json, 'SourceCidrIp'), ','), array_to_string(values_at(request_parameters, request_parameter_json, 'Ipv6SourceCidrIp'), ','),
        array_to_string(values_at(request_parameters, request_parameter_json, 'SourceGroupId'), ','), array_to_string(values_at(request_parameters, request_parameter_json, 'SourcePrefixListId'), ',')) = ''
      AND NOT coalesce(regexp_like(lower(array_to_string(values_at(request_parameters, request_parameter_json, 'Policy'), ',')), '^ *drop *(, *drop *)*$'), false)
      AND NOT coalesce(regexp_like(array_to_string(values_at(request_parameters, request_parameter_json, 'PortRange'), ','), '^ *(80/80|443/443) *(, *(80/80|443/443) *)*$'), false)
),
found AS (
    SELECT opened.* FROM opened
    LEFT JOIN let_in ON let_in.event_key = opened.event_key
    WHERE let_in.event_key IS NULL
    UNION ALL SELECT * FROM let_in
    UNION ALL SELECT * FROM unguarded
    UNION ALL SELECT * FROM forwarded
    UNION ALL SELECT * FROM unsaid
    UNION ALL SELECT * FROM other_ports
)
SELECT
    events.*,
    found.severity,
    found.variant,
    concat_ws('; ', found.reason,
        'In security group ' || param(events.request_parameters, events.request_parameter_json, 'SecurityGroupId'),
        'In prefix list ' || param(events.request_parameters, events.request_parameter_json, 'PrefixListId'),
        'In access list ' || param(events.request_parameters, events.request_parameter_json, 'AclId')) AS why,
    nullif(concat_ws('; ', nullif(found.not_known, ''),
        CASE WHEN events.source_class <> 'ip' THEN 'Where the call came from (source address: ' || events.source_class || ')' END), '') AS unknowns
FROM found
JOIN events ON events.event_key = found.event_key
