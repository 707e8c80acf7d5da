-- A role's session that is used from another network than the one it was issued to: its key was taken along, or stolen. A
-- session is known by the key that was issued, by its principal, or by account, role and session name. It is compared with
-- the issues in the twelve hours before: a session lives no longer. What comes from the network (/24, for IPv6 /48) of one
-- of them is in order, and so are the corporate ranges, and networks to which sessions of the same role were issued during
-- a week, such as the addresses of a gateway. A list of addresses, as a proxy writes it, does not tell
-- where the caller is: it is undetermined. Other private addresses name no network, because every VPC has them. Data
-- events are left out: apps hand sessions to their clients to read and write objects.
WITH public AS (
    SELECT
        events.*,
        CASE WHEN source_class = 'garbage' THEN regexp_replace(regexp_replace(source_ip_address, '\.[0-9]+ *([,;]|$)', '\1', 'g'), '([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F]*):[0-9a-fA-F:]*', '\1', 'g')
             ELSE left(encode(source_ip, 'hex'), CASE WHEN encode(source_ip, 'hex') LIKE '00000000000000000000ffff%' THEN 30 ELSE 12 END) END AS network,
        ip_in(source_ip, 'corporate_cidrs', event_time) AS inside
    FROM events
    WHERE event_time IS NOT NULL
      AND (source_class = 'garbage' AND regexp_like(source_ip_address, '^ *[0-9a-fA-F.:]+( *[,;] *[0-9a-fA-F.:]+)+ *$')
        OR coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false)
        OR source_class = 'ip' AND NOT (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '11.0.0.0/8') OR ip_in_cidr(source_ip, '100.64.0.0/10') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '127.0.0.0/8') OR ip_in_cidr(source_ip, 'fc00::/7') OR ip_in_cidr(source_ip, 'fe80::/10')))
),
issued AS (
    SELECT
        event_key, event_time, source_ip, source_ip_address, network, inside, true AS issues,
        split_part(param(request_parameters, request_parameter_json, 'RoleArn'), ':', 4) || ':' || lower(split_part(param(request_parameters, request_parameter_json, 'RoleArn'), '/', 2)) AS role,
        unnest(array_distinct(array_concat(
            coalesce(values_at(referenced_resources, 'ACS::RAM::AccessKey'), make_array()),
            coalesce(values_at(response_elements, 'Credentials.AccessKeyId'), make_array()),
            coalesce(values_at(response_elements, 'AssumedRoleUser.AssumedRoleId'), make_array()),
            make_array(split_part(param(request_parameters, request_parameter_json, 'RoleArn'), ':', 4) || ':' || lower(split_part(param(request_parameters, request_parameter_json, 'RoleArn'), '/', 2))
                || ':' || param(request_parameters, request_parameter_json, 'RoleSessionName'))))) AS handle
    FROM public
    WHERE event_action IN ('assumerole', 'assumerolewithsaml', 'assumerolewithoidc') AND lower(service_name) = 'sts' AND outcome = 'success' AND source_class = 'ip'
),
used AS (
    SELECT
        event_key, event_time, source_ip, source_ip_address, network, inside, false AS issues,
        coalesce(account_id, '') || ':' || lower(role_name) AS role,
        unnest(make_array(access_key_id, principal_id, coalesce(account_id, '') || ':' || lower(role_name) || ':' || session_name)) AS handle
    FROM public
    WHERE credential_kind IN ('temporary', 'console_session') AND role_name IS NOT NULL
      AND coalesce(lower(event_category), '') <> 'data'
      AND NOT coalesce(inside, false)
),
-- A session whose issue the trail does not show is followed nowhere.
acts AS (
    SELECT *, max(CASE WHEN issues THEN 1 ELSE 0 END) OVER (PARTITION BY handle) AS has_issue
    FROM (
        SELECT * FROM issued WHERE handle IS NOT NULL
        UNION ALL
        SELECT * FROM used WHERE handle IS NOT NULL
    )
),
followed AS (
    SELECT
        *,
        last_value(CASE WHEN issues THEN source_ip END) IGNORE NULLS OVER session AS issued_ip,
        last_value(CASE WHEN issues THEN source_ip_address END) IGNORE NULLS OVER session AS issued_address,
        max(CASE WHEN issues THEN event_time END) OVER session AS issued_at,
        max(CASE WHEN issues AND inside THEN 1 ELSE 0 END) OVER session AS from_inside,
        max(CASE WHEN issues AND inside IS NOT NULL THEN 1 ELSE 0 END) OVER session AS ranges_known,
        max(CASE WHEN issues THEN event_time END) OVER (PARTITION BY handle, network ORDER BY event_time RANGE BETWEEN INTERVAL '12 hours' PRECEDING AND CURRENT ROW) AS same_network_at,
        max(CASE WHEN issues THEN event_time END) OVER (PARTITION BY role, network ORDER BY event_time RANGE BETWEEN INTERVAL '7 days' PRECEDING AND CURRENT ROW) AS same_role_at
    FROM acts
    WHERE has_issue = 1
    WINDOW session AS (PARTITION BY handle ORDER BY event_time RANGE BETWEEN INTERVAL '12 hours' PRECEDING AND CURRENT ROW)
),
elsewhere AS (
    SELECT
        event_key, inside, max(issued_at) AS issued_at, max(from_inside) AS from_inside, max(ranges_known) AS ranges_known,
        last_value(issued_address ORDER BY issued_at) AS issued_address,
        last_value(geo_country(issued_ip) ORDER BY issued_at) AS issued_country,
        last_value(geo_country(source_ip) ORDER BY issued_at) AS country
    FROM followed
    WHERE NOT issues AND issued_at IS NOT NULL AND same_network_at IS NULL AND same_role_at IS NULL
    GROUP BY event_key, inside
)
SELECT
    events.*,
    CASE
        WHEN NOT inside AND from_inside = 1 THEN 'high'
        WHEN NOT inside OR country <> issued_country THEN 'medium'
        ELSE 'low'
    END AS severity,
    CASE WHEN inside IS NULL AND coalesce(country = issued_country, true) THEN 'undetermined' END AS variant,
    concat_ws('; ',
        'The session ' || session_name || ' of role ' || role_name || ' was issued to ' || issued_address || ' at ' || CAST(issued_at AS VARCHAR),
        CASE
            WHEN NOT inside THEN 'The session was used from ' || source_ip_address || ', which is in no corporate range'
            WHEN source_class = 'garbage' THEN 'The source address ' || source_ip_address || ' is no IP address'
            ELSE 'The session was used from ' || source_ip_address || ', another network'
        END,
        CASE WHEN country <> issued_country THEN 'The session was issued to the country ' || issued_country || ', the call came from ' || country END,
        'The call was ' || event_name || ' of ' || service_name) AS why,
    concat_ws('; ',
        CASE WHEN inside IS NULL THEN 'Whether the address is inside the corporate ranges' END) AS unknowns
FROM elsewhere
JOIN events ON events.event_key = elsewhere.event_key
-- Without corporate ranges only another country is worth a look, or what nobody can tell.
WHERE NOT inside OR ranges_known = 1 OR country <> issued_country OR source_class = 'garbage'
