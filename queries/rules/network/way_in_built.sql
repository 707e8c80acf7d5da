-- A way into a private network that no security group shows: a VPN or its client certificate, a VPN without a second factor, or a
-- port of a NAT gateway that leads inside.
WITH calls AS (
    SELECT
        event_key,
        event_action,
        request_parameters,
        request_parameter_json,
        coalesce(param(request_parameters, request_parameter_json, 'ExternalIp'), '') AS outside,
        ',' || regexp_replace(lower(concat_ws(',', array_to_string(values_at(request_parameters, request_parameter_json, 'ExternalPort'), ','),
            array_to_string(values_at(request_parameters, request_parameter_json, 'InternalPort'), ','))), '[^a-z0-9,]+', '/', 'g') || ',' AS ports
    FROM events
    WHERE event_action IN ('createforwardentry', 'modifyforwardentry', 'createipv6translatorentry', 'createsslvpnclientcert', 'createsslvpnserver', 'modifysslvpnserver', 'createvpnconnection', 'modifyvpnconnectionattribute',
            'createvpnattachment', 'modifyvpnattachmentattribute', 'createipsecserver', 'updateipsecserver')
      AND lower(service_name) = 'vpc'
      AND outcome = 'success'
),
found AS (
    -- Ports that intruders try first are AT-NET-001. A NAT gateway between private networks leads nothing in from the internet.
    SELECT
        event_key,
        CASE WHEN regexp_like(ports, '^,(80|443)(,(80|443|8080|8443))*,$') THEN 'low' ELSE 'medium' END AS severity,
        CASE WHEN regexp_like(ports, '^,(80|443)(,(80|443|8080|8443))*,$') THEN 'web' END AS variant,
        'Forwarded port ' || coalesce(param(request_parameters, request_parameter_json, 'ExternalPort'), '?') || ' of ' || CASE WHEN outside = '' THEN '?' ELSE outside END
            || ' to port ' || coalesce(param(request_parameters, request_parameter_json, 'InternalPort'), '?') || ' of ' || coalesce(param(request_parameters, request_parameter_json, 'InternalIp'), '?') AS reason
    FROM calls
    WHERE event_action IN ('createforwardentry', 'modifyforwardentry')
      AND NOT regexp_like(ports, ',(any|22|23|135|445|1433|1521|2375|3306|3389|5432|5900|5985|6379|6443|9200|10250|11211|27017),|/')
      AND NOT coalesce(ip_in_cidr(outside, '10.0.0.0/8') OR ip_in_cidr(outside, '172.16.0.0/12') OR ip_in_cidr(outside, '192.168.0.0/16') OR ip_in_cidr(outside, '100.64.0.0/10'), false)
      -- A change of the name leads nowhere else.
      AND (event_action = 'createforwardentry' OR ports <> ',,' OR param(request_parameters, request_parameter_json, 'InternalIp') IS NOT NULL)
    UNION ALL
    SELECT
        event_key,
        CASE WHEN event_action = 'modifysslvpnserver' AND any_is(values_at(request_parameters, request_parameter_json, 'EnableMultiFactorAuth'), 'equals', 'false') THEN 'high' ELSE 'medium' END,
        NULL,
        CASE event_action
            WHEN 'createipv6translatorentry' THEN 'Led an IPv6 address to ' || coalesce(param(request_parameters, request_parameter_json, 'BackendIpv4Addr'), '?') || ' inside'
            WHEN 'createsslvpnclientcert' THEN 'Issued a client certificate of the VPN server ' || coalesce(param(request_parameters, request_parameter_json, 'SslVpnServerId'), '?')
            WHEN 'createsslvpnserver' THEN 'Created a VPN server that leads to ' || coalesce(param(request_parameters, request_parameter_json, 'LocalSubnet'), '?')
            WHEN 'createipsecserver' THEN 'Created a VPN server that leads to ' || coalesce(param(request_parameters, request_parameter_json, 'LocalSubnet'), '?')
            WHEN 'modifysslvpnserver' THEN CASE WHEN any_is(values_at(request_parameters, request_parameter_json, 'EnableMultiFactorAuth'), 'equals', 'false')
                THEN 'Switched the second factor of a VPN server off' ELSE 'Changed which networks a VPN server leads to' END
            WHEN 'updateipsecserver' THEN 'Changed how clients get into a VPN server'
            WHEN 'createvpnconnection' THEN 'Connected the network ' || coalesce(param(request_parameters, request_parameter_json, 'RemoteSubnet'), '?') || ' by VPN'
            WHEN 'createvpnattachment' THEN 'Connected the network ' || coalesce(param(request_parameters, request_parameter_json, 'RemoteSubnet'), '?') || ' by VPN'
            ELSE 'Changed which networks a VPN connects'
        END
    FROM calls
    WHERE event_action IN ('createipv6translatorentry', 'createsslvpnclientcert', 'createsslvpnserver', 'createvpnconnection', 'createvpnattachment', 'createipsecserver')
       OR event_action = 'modifysslvpnserver' AND (any_is(values_at(request_parameters, request_parameter_json, 'EnableMultiFactorAuth'), 'equals', 'false') OR param(request_parameters, request_parameter_json, 'LocalSubnet') IS NOT NULL)
       OR event_action = 'updateipsecserver' AND (any_is(values_at(request_parameters, request_parameter_json, 'PskEnabled'), 'equals', 'true') OR param(request_parameters, request_parameter_json, 'LocalSubnet') IS NOT NULL)
       OR event_action IN ('modifyvpnconnectionattribute', 'modifyvpnattachmentattribute') AND (param(request_parameters, request_parameter_json, 'RemoteSubnet') IS NOT NULL OR param(request_parameters, request_parameter_json, 'LocalSubnet') IS NOT NULL)
)
SELECT
    events.*,
    found.severity,
    found.variant,
    found.reason AS why,
    CASE WHEN events.source_class <> 'ip' THEN 'Where the call came from (source address: ' || events.source_class || ')' END AS unknowns
FROM found
JOIN events ON events.event_key = found.event_key
