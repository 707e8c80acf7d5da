-- A KMS key or a secret is destroyed or about to be: data encrypted with the key becomes unreadable. Or its policy lets everybody or a
-- stranger's account use it. A deletion in thirty days or more, by a principal that scheduled some from the same network in the thirty
-- days before, is usual.
WITH calls AS (
    SELECT
        events.*,
        coalesce(account_id, '') AS account,
        -- Who, and from which network: the corporate ranges are one; else /24, for IPv6 /48, or the kind of address.
        coalesce(role_name, principal_id, '') || '@' || CASE
            WHEN coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false) THEN 'corporate'
            WHEN source_class = 'ip' THEN left(encode(source_ip, 'hex'), CASE WHEN client_ip LIKE '%:%' THEN 12 ELSE 30 END)
            ELSE source_class
        END AS who,
        date_bin(INTERVAL '1 day', event_time) AS event_day,
        -- Each operation has parameters of its own. One of another operation means nothing.
        CASE
            WHEN event_action IN ('deletesecret', 'setsecretpolicy') THEN param(request_parameters, request_parameter_json, 'SecretName')
            WHEN event_action = 'setdeletionprotection' THEN coalesce(param(request_parameters, request_parameter_json, 'ProtectedResourceArn'), param(request_parameters, request_parameter_json, 'KeyId'))
            ELSE param(request_parameters, request_parameter_json, 'KeyId')
        END AS target,
        CASE WHEN event_action = 'schedulekeydeletion' THEN TRY_CAST(param(request_parameters, request_parameter_json, 'PendingWindowInDays') AS BIGINT) END AS days_left,
        -- Where not even the account itself is in the list, there is no list to tell strangers by.
        coalesce(matches(account_id, 'accounts'), false) AS accounts_known,
        event_action IN ('setkeypolicy', 'setsecretpolicy') AS on_policy,
        coalesce(entries(param(request_parameters, request_parameter_json, 'Policy'), 'Statement'), entries(request_parameters, request_parameter_json, 'Policy.Statement')) AS statements
    FROM events
    WHERE event_action IN ('schedulekeydeletion', 'disablekey', 'deletekeymaterial', 'setdeletionprotection', 'deletesecret', 'setkeypolicy', 'setsecretpolicy')
      AND lower(service_name) = 'kms'
      AND outcome = 'success'
),
-- Each statement by itself: a harmless one beside it hides nothing.
statements AS (
    SELECT event_key, account_id, unnest(statements) AS statement
    FROM calls
    WHERE on_policy AND statements IS NOT NULL
),
principals AS (
    SELECT event_key, account_id, unnest(array_concat(coalesce(values_at(statement, 'Principal.RAM'), make_array()), coalesce(values_at(statement, 'Principal'), make_array()))) AS principal
    FROM statements
    WHERE lower(coalesce(param(statement, 'Effect'), 'allow')) <> 'deny'
),
named AS (
    SELECT
        *,
        regexp_like(principal, '^(\*|acs:ram::\*:.*)$') AS is_everybody,
        CASE WHEN regexp_like(principal, '^[0-9]+$') THEN principal WHEN regexp_like(principal, '^acs:ram::[0-9]+:') THEN split_part(principal, ':', 4) END AS owner
    FROM principals
),
policies AS (
    SELECT event_key, bool_or(is_everybody) AS for_everybody, min(CASE WHEN owner IS NOT NULL AND (owner <> '' AND owner <> coalesce(account_id, '') AND NOT matches(owner, 'accounts')) THEN owner END) AS stranger
    FROM named
    GROUP BY event_key
),
-- Only the first call of a principal from a network on a day can be new.
days AS (
    SELECT account, who, event_day, lag(event_day) OVER (PARTITION BY account, who ORDER BY event_day) AS before
    FROM (SELECT DISTINCT account, who, event_day FROM calls WHERE event_action = 'schedulekeydeletion' AND event_time IS NOT NULL)
),
judged AS (
    SELECT
        calls.*,
        policies.stranger,
        coalesce(days.before >= calls.event_day - INTERVAL '30 days', false) AS is_usual,
        CASE
            WHEN event_action = 'schedulekeydeletion' THEN 'Scheduled the deletion of a key'
            WHEN event_action = 'disablekey' THEN 'Disabled a key'
            WHEN event_action = 'deletekeymaterial' THEN 'Deleted the material of a key'
            WHEN event_action = 'setdeletionprotection' AND any_is(values_at(request_parameters, request_parameter_json, 'EnableDeletionProtection'), 're', '(?i)^ *(false|0) *$') THEN 'Switched off the deletion protection of a key'
            WHEN event_action = 'deletesecret' AND any_is(values_at(request_parameters, request_parameter_json, 'ForceDeleteWithoutRecovery'), 're', '(?i)^ *(true|1) *$') THEN 'Deleted a secret beyond recovery'
            WHEN on_policy AND for_everybody THEN 'Set a policy that lets everybody use a key or a secret'
            WHEN on_policy AND policies.stranger IS NOT NULL THEN 'Set a policy that lets another account use a key or a secret'
            WHEN on_policy AND statements IS NULL THEN 'Set the policy of a key or a secret'
        END AS what
    FROM calls
    LEFT JOIN policies ON policies.event_key = calls.event_key
    LEFT JOIN days ON days.account = calls.account AND days.who = calls.who AND days.event_day = calls.event_day
)
SELECT
    judged.*,
    -- Sessions of a pipeline or of a workload are many; what is usual for its role is one finding.
    CASE WHEN event_action = 'schedulekeydeletion' AND days_left >= 30 THEN who ELSE principal_id END AS grouped_by,
    CASE WHEN what = 'Set the policy of a key or a secret' THEN 'undetermined' END AS variant,
    CASE
        WHEN event_action = 'deletekeymaterial' THEN 'critical'
        WHEN event_action = 'schedulekeydeletion' AND days_left <= 7 THEN 'critical'
        WHEN what = 'Set the policy of a key or a secret' THEN 'low'
        WHEN what = 'Set a policy that lets another account use a key or a secret' AND NOT accounts_known THEN 'medium'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        what,
        'The key or secret is ' || target,
        CASE WHEN event_action = 'schedulekeydeletion' THEN 'It will be gone after ' || CAST(days_left AS VARCHAR) || ' days' END,
        CASE WHEN on_policy AND accounts_known THEN 'The account ' || stranger || ' is not the company''s' WHEN on_policy THEN 'The account is ' || stranger END) AS why,
    nullif(concat_ws('; ',
        CASE WHEN what = 'Set a policy that lets another account use a key or a secret' AND NOT accounts_known THEN 'Whether the account is one of the company (the parameter accounts does not list this one)' END,
        CASE WHEN what = 'Set the policy of a key or a secret' THEN 'The event does not say whom the policy lets in' END,
        CASE WHEN event_action = 'schedulekeydeletion' AND days_left IS NULL THEN 'The event does not say when the key will be gone' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM judged
WHERE what IS NOT NULL
  -- A pipeline that takes test environments down schedules keys for the longest time again and again.
  AND NOT (event_action = 'schedulekeydeletion' AND is_usual AND coalesce(days_left >= 30, false))
