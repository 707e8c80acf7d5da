-- Somebody gets into a database by an account of his own: an account with all rights, or another password for an account.
-- Ordinary accounts and grants are everyday work.
WITH calls AS (
    SELECT
        event_key,
        event_action,
        lower(service_name) AS service,
        request_parameters,
        request_parameter_json,
        coalesce(param(request_parameters, request_parameter_json, 'AccountName'), param(request_parameters, request_parameter_json, 'Account'), '?') AS name,
        lower(coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'AccountType'), ','), '')) AS kinds,
        lower(coalesce(array_to_string(values_at(request_parameters, request_parameter_json, 'AccountPrivilege'), ','), '')) AS rights,
        -- It lacks the name, which the call must have, whatever else it has.
        CASE WHEN lower(service_name) = 'clickhouse' THEN values_at(request_parameters, request_parameter_json, 'Account')
            ELSE values_at(request_parameters, request_parameter_json, 'AccountName') END IS NULL
            AND NOT coalesce(regexp_like(lower(array_to_string(values_at(request_parameters, request_parameter_json, 'AccountType'), ',')), '(^|,) *(super|superaccount|sysadmin|admin) *(,|$)'), false) AS says_nothing
    FROM events
    WHERE event_action IN ('createaccount', 'createaccountzonal', 'createsuperaccount', 'grantaccountprivilege', 'grantaccountprivilegezonal', 'resetaccount', 'resetaccountzonal', 'resetaccountpassword',
            'resetaccountpasswordrestrict', 'modifyaccountpassword', 'modifyaccountpasswordzonal', 'unlockaccount', 'updateadminpassword')
      AND lower(service_name) IN ('rds', 'polardb', 'dds', 'r-kvstore', 'adb', 'gpdb', 'polardbx', 'clickhouse', 'hbase', 'elasticsearch')
      AND outcome = 'success'
),
found AS (
    SELECT
        event_key,
        CASE WHEN says_nothing THEN 'low' ELSE 'medium' END AS severity,
        CASE WHEN says_nothing THEN 'undetermined' END AS variant,
        CASE WHEN says_nothing THEN 'Created a database account' ELSE 'Created database account ' || name || ' with all rights' END AS reason,
        CASE WHEN says_nothing THEN 'Which rights the account has' END AS not_known
    FROM calls
    WHERE event_action IN ('createaccount', 'createaccountzonal')
      AND (regexp_like(kinds, '(^|,) *(super|superaccount|sysadmin|admin) *(,|$)')
        OR says_nothing
        -- Without a type, an account of these services has all rights.
        OR kinds = '' AND service IN ('adb', 'gpdb'))
    UNION ALL
    SELECT event_key, 'medium', NULL, 'Created database account ' || name || ' with all rights', NULL
    FROM calls
    WHERE event_action = 'createsuperaccount'
    UNION ALL
    SELECT event_key, 'medium', NULL, 'Gave database account ' || name || ' all rights on ' || coalesce(param(request_parameters, request_parameter_json, 'DBName'), '?'), NULL
    FROM calls
    WHERE event_action IN ('grantaccountprivilege', 'grantaccountprivilegezonal') AND regexp_like(rights, '(^|,) *(dbowner|super|sysadmin) *(,|$)')
    UNION ALL
    SELECT event_key, 'medium', 'password',
        CASE
            WHEN event_action = 'unlockaccount' THEN 'Unlocked database account ' || name
            WHEN event_action IN ('resetaccount', 'resetaccountzonal') THEN 'Gave database account ' || name || ' all rights and another password'
            ELSE 'Gave database account ' || name || ' another password'
        END,
        NULL
    FROM calls
    WHERE event_action IN ('resetaccount', 'resetaccountzonal', 'resetaccountpassword', 'resetaccountpasswordrestrict', 'modifyaccountpassword', 'modifyaccountpasswordzonal', 'unlockaccount', 'updateadminpassword')
)
SELECT
    events.*,
    found.severity,
    found.variant,
    concat_ws('; ', found.reason,
        'Database ' || coalesce(param(request_parameters, request_parameter_json, 'DBInstanceId'), param(request_parameters, request_parameter_json, 'DBClusterId'),
            param(request_parameters, request_parameter_json, 'InstanceId'), param(request_parameters, request_parameter_json, 'DBInstanceName')) || ' of ' || events.service_name) AS why,
    nullif(concat_ws('; ', found.not_known,
        CASE WHEN events.source_class <> 'ip' THEN 'Where the call came from (source address: ' || events.source_class || ')' END), '') AS unknowns
FROM found
JOIN events ON events.event_key = found.event_key
