-- Ten or more different secrets read by one role or other principal within any five minutes, in KMS and in the parameter store
-- together. Sessions of a role count together. A secret that the same principal read from the same network ten minutes to seven days
-- before is usual, as for a program that keeps copies of its secrets. A call that reads all secrets below a path in clear counts by
-- itself, because it does not say how many they were. The windows run over few columns; the whole events are joined at the end.
WITH calls AS (
    SELECT
        event_key, event_time, coalesce(account_id, '') AS account, coalesce(role_name, principal_id) AS who,
        -- The corporate ranges are one network, and so are private addresses; else /24, for IPv6 /48, or the kind of address.
        CASE
            WHEN coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false) THEN 'corporate'
            WHEN source_class <> 'ip' THEN source_class
            WHEN ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '11.0.0.0/8') OR ip_in_cidr(source_ip, '100.64.0.0/10') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') THEN 'internal'
            ELSE left(encode(source_ip, 'hex'), CASE WHEN client_ip LIKE '%:%' THEN 12 ELSE 30 END)
        END AS network,
        -- Each operation has parameters of its own. One of another operation means nothing.
        CASE
            WHEN event_action = 'getsecretparameters' THEN coalesce(entries(request_parameters, request_parameter_json, 'Names'), make_array(''))
            WHEN event_action = 'getsecretvalue' THEN make_array(coalesce(param(request_parameters, request_parameter_json, 'SecretName'), ''))
            WHEN event_action = 'getsecretparameter' THEN make_array(coalesce(param(request_parameters, request_parameter_json, 'Name'), ''))
            ELSE make_array(coalesce(param(request_parameters, request_parameter_json, 'Path'), ''))
        END AS things,
        event_action = 'getsecretparametersbypath' AND coalesce(any_is(values_at(request_parameters, request_parameter_json, 'WithDecryption'), 'equals', 'true'), false) AS by_path
    FROM events
    WHERE event_time IS NOT NULL
      AND outcome = 'success'
        AND (event_action = 'getsecretvalue' AND lower(service_name) = 'kms'
          OR event_action IN ('getsecretparameter', 'getsecretparameters', 'getsecretparametersbypath') AND lower(service_name) = 'oos')
),
read_out AS (
    SELECT event_key, event_time, account, who, network, unnest(things) AS thing
    FROM calls WHERE who IS NOT NULL
),
followed AS (
    SELECT *, max(event_time) OVER (PARTITION BY account, who, network, thing ORDER BY event_time RANGE BETWEEN INTERVAL '7 days' PRECEDING AND INTERVAL '10 minutes' PRECEDING) AS read_before
    FROM read_out
),
counted AS (
    SELECT *, count(DISTINCT thing) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN INTERVAL '5 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM followed WHERE read_before IS NULL
),
marked AS (
    SELECT event_key, max(in_window) OVER (PARTITION BY account, who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '5 minutes' FOLLOWING) AS most
    FROM counted
),
swept AS (
    SELECT event_key, max(most) AS most
    FROM marked
    GROUP BY event_key
)
SELECT
    events.*,
    calls.who,
    CASE WHEN coalesce(most, 0) < 10 THEN 'by-path' END AS variant,
    CASE WHEN coalesce(most, 0) < 10 THEN 'low' ELSE 'high' END AS severity,
    concat_ws('; ',
        CASE WHEN most >= 10 THEN CAST(most AS VARCHAR) || ' secrets were read within 5 minutes' ELSE 'Read all secrets below a path in clear' END,
        'Read the secret ' || CASE
            WHEN event_action = 'getsecretvalue' THEN param(request_parameters, request_parameter_json, 'SecretName')
            WHEN event_action = 'getsecretparameter' THEN param(request_parameters, request_parameter_json, 'Name')
            WHEN event_action = 'getsecretparameters' THEN array_to_string(entries(request_parameters, request_parameter_json, 'Names'), ', ')
        END,
        CASE WHEN event_action = 'getsecretparametersbypath' THEN 'The path is ' || param(request_parameters, request_parameter_json, 'Path') END) AS why,
    nullif(concat_ws('; ',
        CASE WHEN by_path THEN 'The event does not say how many secrets the call returned' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM calls
JOIN events ON events.event_key = calls.event_key
LEFT JOIN swept ON swept.event_key = calls.event_key
WHERE most >= 10 OR by_path
