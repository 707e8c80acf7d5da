-- A role's session that is used from another network than the one it was issued to: its key was taken along, or stolen. A
-- session is known by the key that was issued, by its principal, or by account, role and session name. It is compared with
-- the issues in the twelve hours before: a session lives no longer. What comes from the network (/24, for IPv6 /48) of one
-- of them is in order, and so are the corporate ranges, and networks to which sessions of the same role were issued during
-- a week, such as the addresses of a gateway. A list of addresses, as a proxy writes it, does not tell
-- where the caller is: it is undetermined. Other private addresses name no network, because every VPC has them: a session
-- that was issued to one alone and is used outside is reported where nobody else of the account was seen in that network in
-- the twelve hours before, as behind a gateway. Data events are left out: apps hand sessions to their clients to read and
-- write objects.
WITH acts_of_all AS (
    SELECT
        *,
        ip_in(source_ip, 'corporate_cidrs', event_time) AS inside,
        source_class = 'internal' OR source_class = 'ip' AND NOT coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false) AND (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '11.0.0.0/8') OR ip_in_cidr(source_ip, '100.64.0.0/10') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '127.0.0.0/8') OR ip_in_cidr(source_ip, 'fc00::/7') OR ip_in_cidr(source_ip, 'fe80::/10')) AS is_private
    FROM events
    WHERE event_time IS NOT NULL
      AND (source_class IN ('ip', 'internal') OR source_class = 'garbage' AND regexp_like(source_ip_address, '^ *[0-9a-fA-F.:]+( *[,;] *[0-9a-fA-F.:]+)+ *$'))
),
placed AS (
    SELECT
        *,
        CASE WHEN is_private THEN 'private' WHEN source_class = 'garbage' THEN regexp_replace(regexp_replace(source_ip_address, '\.[0-9]+ *([,;]|$)', '\1', 'g'), '([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F]*):[0-9a-fA-F:]*', '\1', 'g')
             ELSE left(encode(source_ip, 'hex'), CASE WHEN encode(source_ip, 'hex') LIKE '00000000000000000000ffff%' THEN 30 ELSE 12 END) END AS network
    FROM acts_of_all
    WHERE NOT is_private
       -- AssumeRoleWithSAML is left out: the page of the sign-in makes the call.
       OR event_action IN ('assumerole', 'assumerolewithoidc') AND lower(service_name) = 'sts' AND outcome = 'success'
),
issued AS (
    SELECT
        event_key, event_time, source_ip, source_ip_address, network, inside, is_private, coalesce(account_id, '') AS account, principal_id, true AS issues,
        split_part(param(request_parameters, request_parameter_json, 'RoleArn'), ':', 4) || ':' || lower(split_part(param(request_parameters, request_parameter_json, 'RoleArn'), '/', 2)) AS role,
        unnest(array_distinct(array_concat(
            coalesce(values_at(referenced_resources, 'ACS::RAM::AccessKey'), make_array()),
            coalesce(values_at(response_elements, 'Credentials.AccessKeyId'), make_array()),
            coalesce(values_at(response_elements, 'AssumedRoleUser.AssumedRoleId'), make_array()),
            -- AssumeRoleWithSAML has no such parameter: the assertion holds the name.
            make_array(CASE WHEN event_action <> 'assumerolewithsaml' THEN split_part(param(request_parameters, request_parameter_json, 'RoleArn'), ':', 4) || ':' || lower(split_part(param(request_parameters, request_parameter_json, 'RoleArn'), '/', 2))
                || ':' || param(request_parameters, request_parameter_json, 'RoleSessionName') END)))) AS handle
    FROM placed
    WHERE event_action IN ('assumerole', 'assumerolewithsaml', 'assumerolewithoidc') AND lower(service_name) = 'sts' AND outcome = 'success' AND source_class IN ('ip', 'internal')
),
used AS (
    SELECT
        event_key, event_time, source_ip, source_ip_address, network, inside, is_private, coalesce(account_id, '') AS account, principal_id, false AS issues,
        coalesce(account_id, '') || ':' || lower(role_name) AS role,
        unnest(make_array(access_key_id, principal_id, coalesce(account_id, '') || ':' || lower(role_name) || ':' || session_name)) AS handle
    FROM placed
    WHERE NOT is_private AND credential_kind IN ('temporary', 'console_session') AND role_name IS NOT NULL
      AND coalesce(lower(event_category), '') <> 'data'
      AND NOT coalesce(inside, false)
),
-- On which days a role was taken.
role_days AS (
    SELECT role, day, lag(day) OVER (PARTITION BY role ORDER BY day) AS day_before
    FROM (SELECT DISTINCT role, date_bin(INTERVAL '1 day', event_time) AS day FROM issued)
),
-- Who else of the account was seen in a network in the twelve hours before an hour.
seen AS (
    SELECT account, network, hour, min(first_of) OVER before AS first_of, max(last_of) OVER before AS last_of
    FROM (SELECT coalesce(account_id, '') AS account, network, date_bin(INTERVAL '1 hour', event_time) AS hour, min(principal_id) AS first_of, max(principal_id) AS last_of
          FROM placed
          WHERE NOT is_private AND credential_kind IN ('temporary', 'console_session') AND role_name IS NOT NULL AND coalesce(lower(event_category), '') <> 'data' AND NOT coalesce(inside, false)
          GROUP BY coalesce(account_id, ''), network, date_bin(INTERVAL '1 hour', event_time))
    WINDOW before AS (PARTITION BY account, network ORDER BY hour RANGE BETWEEN INTERVAL '12 hours' PRECEDING AND INTERVAL '1 hour' PRECEDING)
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
        last_value(CASE WHEN issues AND NOT is_private THEN source_ip END) IGNORE NULLS OVER session AS issued_ip,
        last_value(CASE WHEN issues AND NOT is_private THEN source_ip_address END) IGNORE NULLS OVER session AS issued_address,
        max(CASE WHEN issues AND NOT is_private THEN event_time END) OVER session AS issued_at,
        last_value(CASE WHEN issues AND is_private THEN source_ip_address END) IGNORE NULLS OVER session AS private_address,
        max(CASE WHEN issues AND is_private THEN event_time END) OVER session AS private_at,
        max(CASE WHEN issues AND inside THEN 1 ELSE 0 END) OVER session AS from_inside,
        max(CASE WHEN issues AND NOT is_private AND inside IS NOT NULL THEN 1 ELSE 0 END) OVER session AS ranges_known,
        max(CASE WHEN issues THEN event_time END) OVER (PARTITION BY handle, network ORDER BY event_time RANGE BETWEEN INTERVAL '12 hours' PRECEDING AND CURRENT ROW) AS same_network_at,
        max(CASE WHEN issues THEN event_time END) OVER (PARTITION BY role, network ORDER BY event_time RANGE BETWEEN INTERVAL '7 days' PRECEDING AND CURRENT ROW) AS same_role_at
    FROM acts
    WHERE has_issue = 1
    WINDOW session AS (PARTITION BY handle ORDER BY event_time RANGE BETWEEN INTERVAL '12 hours' PRECEDING AND CURRENT ROW)
),
elsewhere AS (
    SELECT
        event_key, inside, coalesce(max(issued_at), max(private_at)) AS issued_at, max(issued_at) IS NULL AS is_private, bool_or(coalesce(role_days.day_before >= role_days.day - INTERVAL '7 days', false)) AS role_known, max(from_inside) AS from_inside, max(ranges_known) AS ranges_known,
        coalesce(last_value(issued_address ORDER BY issued_at), last_value(private_address ORDER BY private_at)) AS issued_address,
        last_value(geo_country(issued_ip) ORDER BY issued_at) AS issued_country,
        last_value(geo_country(source_ip) ORDER BY issued_at) AS country
    FROM followed
    LEFT JOIN seen ON seen.account = followed.account AND seen.network = followed.network AND seen.hour = date_bin(INTERVAL '1 hour', followed.event_time)
    LEFT JOIN role_days ON role_days.role = followed.role AND role_days.day = date_bin(INTERVAL '1 day', followed.private_at)
    WHERE NOT issues AND same_network_at IS NULL AND same_role_at IS NULL
      AND (issued_at IS NOT NULL OR private_at IS NOT NULL AND coalesce(NOT inside, ip_in('192.0.2.1', 'corporate_cidrs', followed.event_time) IS NOT NULL) AND NOT coalesce(seen.first_of <> principal_id OR seen.last_of <> principal_id, false))
    GROUP BY event_key, inside
)
SELECT
    events.*,
    CASE
        WHEN is_private THEN CASE WHEN role_known AND NOT inside THEN 'medium' ELSE 'low' END
        WHEN NOT inside AND from_inside = 1 THEN 'high'
        WHEN NOT inside OR country <> issued_country THEN 'medium'
        ELSE 'low'
    END AS severity,
    CASE WHEN is_private AND NOT role_known OR inside IS NULL AND coalesce(country = issued_country, true) THEN 'undetermined' END AS variant,
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
        CASE WHEN is_private THEN 'Whether ' || source_ip_address || ' is a gateway of the company' END,
        CASE WHEN inside IS NULL THEN 'Whether the address is inside the corporate ranges' END) AS unknowns
FROM elsewhere
JOIN events ON events.event_key = elsewhere.event_key
-- Without corporate ranges only another country is worth a look, or what nobody can tell.
WHERE is_private OR NOT inside OR ranges_known = 1 OR country <> issued_country OR source_class = 'garbage'
