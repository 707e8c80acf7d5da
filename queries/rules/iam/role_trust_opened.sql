-- A role whose trust policy lets an account in that is not the company's, or everybody; or, within the account, the caller itself or
-- a certain user to whom a role was opened later. The account as a whole and its other accounts are the everyday case.
WITH calls AS (
    SELECT
        events.*,
        -- Each parameter counts for the call that has it.
        CASE event_action WHEN 'createrole' THEN values_at(request_parameters, request_parameter_json, 'AssumeRolePolicyDocument') WHEN 'updaterole' THEN values_at(request_parameters, request_parameter_json, 'NewAssumeRolePolicyDocument') END AS trust_policies
    FROM events
    WHERE event_action IN ('createrole', 'updaterole')
      AND lower(service_name) IN ('ram', 'ims', 'resourcemanager')
      AND outcome = 'success'
),
-- Each statement is judged by itself: what one denies or allows says nothing about the next.
statements AS (
    SELECT event_key, account_id, unnest(entries(document, 'Statement')) AS statement
    FROM (SELECT event_key, account_id, unnest(trust_policies) AS document FROM calls)
),
principals AS (
    SELECT
        event_key,
        account_id,
        values_at(statement, 'Condition') IS NOT NULL AS has_condition,
        unnest(array_concat(
            coalesce(values_at(statement, 'Principal.RAM'), make_array()),
            coalesce(values_at(statement, 'Principal.Federated'), make_array()),
            -- A service that acts for a certain account: 1000000000000001@log.aliyuncs.com.
            coalesce(values_at(statement, 'Principal.Service'), make_array()),
            coalesce(values_at(statement, 'Principal'), make_array()))) AS principal
    FROM statements
    WHERE coalesce(lower(trim(param(statement, 'Effect'))), 'allow') <> 'deny'
),
trusted AS (
    SELECT
        event_key,
        account_id,
        has_condition,
        CASE
            WHEN trim(principal) LIKE 'acs:%' THEN trim(split_part(principal, ':', 4))
            WHEN principal LIKE '%@%' THEN trim(split_part(principal, '@', 1))
            ELSE trim(principal)
        END AS trusts
    FROM principals
    -- An object holds the lists that are read above.
    WHERE trim(principal) NOT LIKE '{%'
),
own_users AS (
    SELECT
        principals.event_key AS opened_by,
        bool_or(lower(trim(user_type)) = 'ram-user' AND lower(split_part(trim(principal), ':user/', 2)) = lower(user_name)
            OR lower(split_part(trim(principal), ':role/', 2)) = lower(role_name)) AS trusts_caller,
        string_agg(DISTINCT split_part(trim(principal), ':', 5), ', ' ORDER BY split_part(trim(principal), ':', 5)) AS own_trusted
    FROM principals
    JOIN calls ON calls.event_key = principals.event_key
    WHERE lower(trim(principal)) LIKE 'acs:ram:%' AND trim(split_part(principal, ':', 4)) = principals.account_id
      AND (split_part(trim(principal), ':', 5) LIKE 'user/%' AND split_part(trim(principal), ':', 5) <> 'user/*' AND (event_action = 'updaterole' OR lower(split_part(trim(principal), ':user/', 2)) = lower(user_name))
        OR lower(split_part(trim(principal), ':role/', 2)) = lower(role_name))
    GROUP BY principals.event_key
),
strangers AS (
    SELECT
        event_key AS trusted_by,
        bool_or(trusts LIKE '%*%') AS everybody,
        bool_or(has_condition) AS has_condition,
        string_agg(DISTINCT trusts, ', ' ORDER BY trusts) AS accounts_trusted
    FROM trusted
    WHERE trusts LIKE '%*%'
       -- An account is a number; service names and empty places are none.
       OR regexp_like(trusts, '^[0-9]+$') AND trusts <> coalesce(account_id, '') AND NOT coalesce(matches(trusts, 'accounts'), false)
    GROUP BY event_key
),
judged AS (
    SELECT
        calls.*,
        coalesce(everybody, false) AS trusts_everybody,
        coalesce(has_condition, false) AS has_condition,
        accounts_trusted,
        own_trusted,
        accounts_trusted IS NULL AND own_trusted IS NULL AS trust_unknown,
        coalesce(trusts_caller, false) AS trusts_caller,
        read_by IS NOT NULL AS is_understood,
        -- Where not even the account itself is in the list, there is no list to tell strangers by.
        coalesce(matches(account_id, 'accounts'), false) AS accounts_known
    FROM calls
    LEFT JOIN strangers ON trusted_by = event_key
    LEFT JOIN own_users ON opened_by = event_key
    LEFT JOIN (SELECT DISTINCT event_key AS read_by FROM statements) ON read_by = event_key
)
SELECT
    judged.*,
    CASE WHEN accounts_trusted IS NULL AND trusts_caller THEN 'medium' WHEN accounts_trusted IS NULL THEN 'low' WHEN NOT trusts_everybody AND NOT accounts_known THEN 'medium' END AS severity,
    CASE WHEN trust_unknown THEN 'trust-unknown' WHEN accounts_trusted IS NULL AND trusts_caller THEN 'caller' WHEN accounts_trusted IS NULL THEN 'own-user' END AS variant,
    concat_ws('; ', CASE
        WHEN accounts_trusted IS NULL AND own_trusted IS NOT NULL THEN 'The role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?') || ' trusts ' || own_trusted || ' of the same account'
        WHEN accounts_trusted IS NULL THEN 'The trust policy of role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?') || ' was set'
        WHEN trusts_everybody THEN 'The role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?') || ' trusts everybody (' || accounts_trusted || ')'
        ELSE 'The role ' || coalesce(param(request_parameters, request_parameter_json, 'RoleName'), '?') || ' trusts account ' || accounts_trusted
    END,
    CASE WHEN trusts_caller THEN 'The caller may take the role itself' END) AS why,
    concat_ws('; ',
        CASE WHEN trust_unknown THEN 'Whom the role trusts' END,
        CASE WHEN accounts_trusted IS NULL AND own_trusted IS NOT NULL THEN 'What the role may do' END,
        CASE WHEN accounts_trusted IS NOT NULL AND NOT trusts_everybody AND NOT accounts_known THEN 'Whether the account is one of the company (the parameter accounts does not list this one)' END,
        CASE WHEN has_condition THEN 'Whether the condition of the statement keeps strangers out' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM judged
WHERE accounts_trusted IS NOT NULL
   OR own_trusted IS NOT NULL
   OR trust_policies IS NOT NULL AND NOT is_understood
   -- A new role always has a trust policy; a change of a role can leave it as it is. A change that names no
   -- role lacks its parameters, whatever else it has.
   OR trust_policies IS NULL AND (event_action = 'createrole' OR values_at(request_parameters, request_parameter_json, 'RoleName') IS NULL)
