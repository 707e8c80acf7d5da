-- A database that the whole internet, a large part of it or an address outside of the company can reach: its whitelist, or a
-- public address of its own.
WITH calls AS (
    SELECT
        event_key,
        event_time,
        event_action,
        lower(service_name) AS service,
        request_parameters,
        request_parameter_json,
        resource_name,
        coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'ModifyMode'), ','), '') AS modes
    FROM events
    WHERE event_action IN ('modifysecurityips', 'modifysecurityiplist', 'modifydbclusteraccesswhitelist', 'modifyglobalsecurityipgroup',
            'createglobalsecurityipgroup', 'modifysecurityipgroup', 'createsecurityipgroup', 'createtenantsecurityipgroup',
            'modifytenantsecurityipgroup', 'modifywhitelisttemplate', 'createwhitelisttemplate', 'updatewhitelisttemplate',
            'createdbinstanceiparray', 'modifyaiservicesecurityips', 'modifysupabaseprojectsecurityips', 'modifyapplicationwhitelist',
            'modifyipwhitelist', 'updateinstanceipwhitelist', 'modifydrdsipwhitelist', 'modifywhiteips', 'updatewhiteips',
            'updatepublicwhiteips', 'updatekibanawhiteips', 'allocateinstancepublicconnection', 'allocateclusterpublicconnection',
            'allocatepublicnetworkaddress', 'createdbendpointaddress', 'createapplicationendpointaddress', 'createdbinstanceendpointaddress',
            'createdbproxyendpointaddress', 'createinstanceinternetaddress', 'createendpoint', 'updatepublicnetwork', 'updatepublicnetworkstatus')
      AND outcome = 'success'
),
-- The addresses that a call lets in, as one text. Calls that take addresses away let nobody in. Only operations that have
-- `ModifyMode` or `Delete` are believed, and only where the parameter says nothing else: whoever calls can add parameters.
let_in AS (
    SELECT
        event_key,
        event_time,
        regexp_replace(concat_ws(',', array_to_string(values_at(request_parameters, request_parameter_json, 'SecurityIps'), ','), array_to_string(values_at(request_parameters, request_parameter_json, 'SecurityIPList'), ','),
            array_to_string(values_at(request_parameters, request_parameter_json, 'GIpList'), ','), array_to_string(values_at(request_parameters, request_parameter_json, 'IpWhitelist'), ','),
            array_to_string(values_at(request_parameters, request_parameter_json, 'IpList'), ','), array_to_string(values_at(request_parameters, request_parameter_json, 'body.whiteIpGroup.ips'), ','),
            array_to_string(values_at(request_parameters, request_parameter_json, 'body.publicIpWhitelist'), ','), array_to_string(values_at(request_parameters, request_parameter_json, 'body.kibanaIPWhitelist'), ','),
            array_to_string(values_at(request_parameters, request_parameter_json, 'body.esIPWhitelist'), ','), array_to_string(values_at(request_parameters, request_parameter_json, 'whiteIpGroup.ips'), ','),
            array_to_string(values_at(request_parameters, request_parameter_json, 'publicIpWhitelist'), ','), array_to_string(values_at(request_parameters, request_parameter_json, 'kibanaIPWhitelist'), ','),
            array_to_string(values_at(request_parameters, request_parameter_json, 'esIPWhitelist'), ',')), '[\s,;]+', ',', 'g') AS addresses
    FROM calls
    WHERE NOT (regexp_like(lower(modes), '^ *delete *(, *delete *)*$')
            AND (event_action = 'modifysecurityips' AND service IN ('rds', 'polardbx', 'dds', 'r-kvstore', 'gpdb')
                OR event_action IN ('modifydbclusteraccesswhitelist', 'modifyapplicationwhitelist', 'modifysecurityiplist', 'updatewhiteips', 'updatepublicwhiteips', 'updatekibanawhiteips')))
      AND NOT (event_action = 'updateinstanceipwhitelist' AND regexp_like(lower(coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'Delete'), ','), '')), '^ *true *(, *true *)*$'))
),
-- Addresses of the internet that are in no corporate range, and those of IPv6 where the corporate ranges list no IPv6.
strangers AS (
    SELECT event_key, count(*) FILTER (WHERE NOT is_inside) AS amount, min(address) FILTER (WHERE NOT is_inside) AS example,
        count(*) FILTER (WHERE is_inside IS NULL) AS amount_unknown, min(address) FILTER (WHERE is_inside IS NULL) AS example_unknown
    FROM (
        SELECT event_key, event_time, split_part(range, '/', 1) AS address, ip_in(split_part(range, '/', 1), 'corporate_cidrs', event_time) AS is_inside
        FROM (SELECT event_key, event_time, unnest(string_to_array(addresses, ',')) AS range FROM let_in)
    )
    WHERE ip_class(address) = 'ip'
      -- Without any range nobody is outside.
      AND (NOT is_inside OR is_inside IS NULL AND ip_in('0.0.0.0', 'corporate_cidrs', event_time) IS NOT NULL)
      AND NOT (ip_in_cidr(address, '0.0.0.0/8') OR ip_in_cidr(address, '10.0.0.0/8') OR ip_in_cidr(address, '100.64.0.0/10') OR ip_in_cidr(address, '127.0.0.0/8')
            OR ip_in_cidr(address, '169.254.0.0/16') OR ip_in_cidr(address, '172.16.0.0/12') OR ip_in_cidr(address, '192.168.0.0/16') OR ip_in_cidr(address, 'fc00::/7')
            OR ip_in_cidr(address, 'fe80::/10') OR ip_in_cidr(address, '::/8'))
    GROUP BY event_key
),
judged AS (
    SELECT
        let_in.event_key,
        addresses,
        -- Some engines take 0.0.0.0 or % for everybody.
        CASE WHEN regexp_like(addresses, '(^|,)(0\.0\.0\.0|::|%|%\.%\.%\.%)(,|$)') THEN 1 ELSE internet_share(addresses) END AS share,
        coalesce(amount, 0) AS amount,
        example,
        coalesce(amount_unknown, 0) AS amount_unknown,
        example_unknown
    FROM let_in
    LEFT JOIN strangers ON strangers.event_key = let_in.event_key
),
found AS (
    SELECT
        event_key,
        CASE WHEN share >= 0.01 THEN 'high' WHEN amount > 0 THEN 'medium' ELSE 'low' END AS severity,
        CASE WHEN coalesce(share, 0) < 0.01 THEN CASE WHEN amount > 0 THEN 'outside' ELSE 'outside-undetermined' END WHEN share < 0.5 THEN 'part' END AS variant,
        CASE
            WHEN share >= 0.5 THEN 'Opened the whitelist to the whole internet: ' || addresses
            WHEN share >= 0.01 THEN 'Opened the whitelist to ' || CAST(CAST(round(share * 100) AS INT) AS VARCHAR) || '% of the internet: ' || addresses
            WHEN amount = 0 THEN 'Opened the whitelist to ' || example_unknown || ', and the corporate ranges list no IPv6 (' || CAST(amount_unknown AS VARCHAR) || ' such addresses)'
            ELSE 'Opened the whitelist to ' || example || ', which is in no corporate range (' || CAST(amount AS VARCHAR) || ' such addresses)'
        END AS reason,
        CASE WHEN coalesce(share, 0) < 0.01 AND amount = 0 THEN 'Whether the addresses belong to the company' END AS not_known
    FROM judged
    WHERE share >= 0.01 OR amount > 0 OR amount_unknown > 0
    UNION ALL
    SELECT event_key, 'high', NULL, 'Gave the database a public address', NULL
    FROM calls
    WHERE event_action IN ('allocateinstancepublicconnection', 'allocateclusterpublicconnection', 'allocatepublicnetworkaddress', 'createinstanceinternetaddress')
       OR event_action IN ('createdbendpointaddress', 'createapplicationendpointaddress') AND any_is(values_at(request_parameters, request_parameter_json, 'NetType'), 'equals', 'Public')
       OR event_action = 'createdbinstanceendpointaddress' AND any_is(values_at(request_parameters, request_parameter_json, 'IpType'), 'equals', 'Public')
       OR event_action = 'createdbproxyendpointaddress' AND any_is(values_at(request_parameters, request_parameter_json, 'DBProxyConnectStringNetType'), 'equals', 'Public')
       OR event_action = 'createendpoint' AND service = 'clickhouse' AND any_is(values_at(request_parameters, request_parameter_json, 'DBInstanceNetType'), 'equals', 'Public')
       OR event_action = 'updatepublicnetworkstatus' AND any_is(values_at(request_parameters, request_parameter_json, 'PublicNetworkEnabled'), 'equals', 'true')
       OR event_action = 'updatepublicnetwork' AND (any_is(values_at(request_parameters, request_parameter_json, 'body.enablePublic'), 'equals', 'true') OR any_is(values_at(request_parameters, request_parameter_json, 'enablePublic'), 'equals', 'true'))
    UNION ALL
    SELECT event_key, 'low', 'undetermined', 'Changed the whitelist of a database', 'Whom the whitelist lets in'
    FROM calls
    WHERE event_action IN ('modifysecurityips', 'modifysecurityiplist', 'modifydbclusteraccesswhitelist', 'modifyglobalsecurityipgroup')
      -- It names nothing that the call must name, whatever else it has.
      AND (request_parameters IS NULL AND request_parameter_json IS NULL OR resource_name IS NULL AND CASE
            WHEN event_action = 'modifydbclusteraccesswhitelist' THEN coalesce(values_at(request_parameters, request_parameter_json, 'DBClusterId'), values_at(request_parameters, request_parameter_json, 'SecurityIps'))
            WHEN event_action = 'modifyglobalsecurityipgroup' THEN coalesce(values_at(request_parameters, request_parameter_json, 'GlobalSecurityGroupId'), values_at(request_parameters, request_parameter_json, 'GIpList'))
            WHEN event_action = 'modifysecurityiplist' OR service = 'gpdb' THEN coalesce(values_at(request_parameters, request_parameter_json, 'DBInstanceId'), values_at(request_parameters, request_parameter_json, 'SecurityIPList'))
            WHEN service = 'polardbx' THEN coalesce(values_at(request_parameters, request_parameter_json, 'DBInstanceName'), values_at(request_parameters, request_parameter_json, 'SecurityIPList'))
            WHEN service IN ('r-kvstore', 'oceanbasepro') THEN coalesce(values_at(request_parameters, request_parameter_json, 'InstanceId'), values_at(request_parameters, request_parameter_json, 'SecurityIps'))
            ELSE coalesce(values_at(request_parameters, request_parameter_json, 'DBInstanceId'), values_at(request_parameters, request_parameter_json, 'SecurityIps'))
        END IS NULL)
)
SELECT
    events.*,
    found.severity,
    found.variant,
    concat_ws('; ', found.reason,
        'Database ' || coalesce(param(request_parameters, request_parameter_json, 'DBInstanceId'), param(request_parameters, request_parameter_json, 'InstanceId'),
            param(request_parameters, request_parameter_json, 'DBClusterId'), param(request_parameters, request_parameter_json, 'DBInstanceName'),
            param(request_parameters, request_parameter_json, 'ClusterId'), param(request_parameters, request_parameter_json, 'DrdsInstanceId')) || ' of ' || events.service_name,
        'Group of addresses ' || coalesce(param(request_parameters, request_parameter_json, 'GlobalSecurityGroupId'), param(request_parameters, request_parameter_json, 'GlobalIgName'))) AS why,
    nullif(concat_ws('; ', found.not_known,
        CASE WHEN events.source_class <> 'ip' THEN 'Where the call came from (source address: ' || events.source_class || ')' END), '') AS unknowns
FROM found
JOIN events ON events.event_key = found.event_key
