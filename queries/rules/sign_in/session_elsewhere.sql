-- A console session that is used from another network than the one its user signed in from: it was taken along, or stolen.
-- The trail has no id of the session, and its creation date is often the time of the call. So a call is compared with all
-- sign-ins of the user in the twelve hours before it: a session lives no longer. A call from the network (/24, for IPv6
-- /48) of one of them is in order, and so is one from inside of the corporate ranges. A list of addresses, as a
-- proxy writes it, does not tell where the caller is: it is undetermined. Other private addresses name no network: the
-- console's own machines have them. A user of CloudSSO signs in there, and acts with a role's session of the same name. A
-- network that the user was seen in on the seven days before counts less, and so do reads of others than the root account.
WITH acts AS (
    SELECT
        event_key, event_time, source_ip, source_ip_address, date_bin(INTERVAL '1 day', event_time) AS day,
        -- The sign-in to CloudSSO is an event of the management account.
        CASE WHEN event_action = 'login' AND lower(service_name) = 'cloudsso' OR lower(role_name) LIKE 'aliyunreservedsso-%' THEN 'cloudsso' ELSE coalesce(account_id, '') END AS account,
        CASE WHEN event_action = 'login' AND lower(service_name) = 'cloudsso' THEN lower(user_name) WHEN lower(role_name) LIKE 'aliyunreservedsso-%' THEN lower(session_name) ELSE principal_id END AS who,
        event_action LIKE 'consolesignin%' OR event_action = 'login' AND lower(service_name) = 'cloudsso' AS signs_in,
        source_class = 'garbage' AS is_list,
        CASE WHEN source_class = 'garbage' THEN regexp_replace(regexp_replace(source_ip_address, '\.[0-9]+ *([,;]|$)', '\1', 'g'), '([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F]*):[0-9a-fA-F:]*', '\1', 'g')
             ELSE left(encode(source_ip, 'hex'), CASE WHEN encode(source_ip, 'hex') LIKE '00000000000000000000ffff%' THEN 30 ELSE 12 END) END AS network,
        ip_in(source_ip, 'corporate_cidrs', event_time) AS inside
    FROM events
    WHERE event_time IS NOT NULL AND principal_id IS NOT NULL
      AND (source_class = 'garbage' AND regexp_like(source_ip_address, '^ *[0-9a-fA-F.:]+( *[,;] *[0-9a-fA-F.:]+)+ *$')
        OR coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false)
        OR source_class = 'ip' AND NOT (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '11.0.0.0/8') OR ip_in_cidr(source_ip, '100.64.0.0/10') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '127.0.0.0/8') OR ip_in_cidr(source_ip, 'fc00::/7') OR ip_in_cidr(source_ip, 'fe80::/10')))
      AND ((event_action LIKE 'consolesignin%' OR event_action = 'login' AND lower(service_name) = 'cloudsso') AND outcome = 'success' AND source_class = 'ip'
        OR event_action NOT LIKE 'consolesign%' AND NOT (event_action = 'login' AND lower(service_name) = 'cloudsso') AND (credential_kind = 'console_session' OR access_key_id LIKE 'TMP.%')
          AND NOT coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false))
),
-- Only the first act of a user from a network on a day can be new.
days AS (
    SELECT account, who, network, day, lag(day) OVER (PARTITION BY account, who, network ORDER BY day) AS day_before
    FROM (SELECT DISTINCT account, who, network, day FROM acts)
),
followed AS (
    SELECT
        *,
        last_value(CASE WHEN signs_in THEN source_ip END) IGNORE NULLS OVER session AS signed_in_ip,
        last_value(CASE WHEN signs_in THEN source_ip_address END) IGNORE NULLS OVER session AS signed_in_address,
        max(CASE WHEN signs_in THEN event_time END) OVER session AS signed_in_at,
        max(CASE WHEN signs_in AND inside THEN 1 ELSE 0 END) OVER session AS from_inside,
        max(CASE WHEN signs_in AND inside IS NOT NULL THEN 1 ELSE 0 END) OVER session AS ranges_known,
        max(CASE WHEN signs_in THEN event_time END) OVER (PARTITION BY account, who, network ORDER BY event_time RANGE BETWEEN INTERVAL '12 hours' PRECEDING AND CURRENT ROW) AS same_network_at
    FROM acts
    WINDOW session AS (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '12 hours' PRECEDING AND CURRENT ROW)
),
elsewhere AS (
    SELECT
        followed.*,
        coalesce(days.day_before >= followed.day - INTERVAL '7 days', false) AS is_known,
        geo_country(source_ip) AS country,
        geo_country(signed_in_ip) AS signed_in_country,
        coalesce(geo_asn(source_ip) = geo_asn(signed_in_ip), false) AS same_operator
    FROM followed
    LEFT JOIN days ON days.account = followed.account AND days.who = followed.who AND days.network = followed.network AND days.day = followed.day
    WHERE NOT signs_in AND signed_in_at IS NOT NULL AND same_network_at IS NULL
)
SELECT
    events.*,
    -- One finding a day for an office whose IPv6 nobody listed.
    CASE WHEN NOT inside OR country <> signed_in_country THEN principal_id END AS whose,
    CASE
        WHEN is_known AND coalesce(lower(event_rw) = 'read' AND lower(trim(user_type)) <> 'root-account', false) THEN 'low'
        WHEN NOT inside AND from_inside = 1 AND NOT is_known AND NOT coalesce(lower(event_rw) = 'read' AND lower(trim(user_type)) <> 'root-account', false) THEN 'high'
        WHEN NOT inside OR country <> signed_in_country THEN 'medium'
        ELSE 'low'
    END AS severity,
    CASE WHEN inside IS NULL AND coalesce(country = signed_in_country, true) THEN 'undetermined' END AS variant,
    concat_ws('; ',
        'User ' || coalesce(user_name, principal_id) || ' signed in from ' || signed_in_address || ' at ' || CAST(signed_in_at AS VARCHAR),
        CASE
            WHEN NOT inside THEN 'The session was used from ' || events.source_ip_address || ', which is in no corporate range'
            WHEN is_list THEN 'The source address ' || events.source_ip_address || ' is no IP address'
            ELSE 'The session was used from ' || events.source_ip_address || ', another network'
        END,
        CASE WHEN country <> signed_in_country THEN 'The sign-in came from the country ' || signed_in_country || ', the call from ' || country END,
        CASE WHEN is_known THEN 'The user was seen in this network on the 7 days before' END,
        'The call was ' || event_name || ' of ' || service_name) AS why,
    concat_ws('; ',
        CASE WHEN inside IS NULL THEN 'Whether the address is inside the corporate ranges' END) AS unknowns
FROM elsewhere
JOIN events ON events.event_key = elsewhere.event_key
-- Without corporate ranges only another country is worth a look, or what nobody can tell: networks change where people walk.
-- The same holds where the sign-in came from outside too and both addresses belong to one network operator.
WHERE NOT inside AND (from_inside = 1 OR NOT same_operator)
   OR inside IS NULL AND (ranges_known = 1 OR country <> signed_in_country OR is_list)
