-- A bucket that everybody or a stranger's account may read, or what kept it from that was removed. The vendor's events of OSS carry
-- no values: where the value is missing, the finding asks to look at the bucket (variant `review`). ACLs without a value are
-- mostly private: they count where the principal set no ACL from the same network in the thirty days before. A condition of a policy
-- counts where it names an account, a VPC or less than half of the internet: a browser, an hour or HTTPS keeps nobody out.
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
        -- The caller chooses the parameters, so the resource comes first.
        coalesce(values_at(referenced_resources, 'ACS::OSS::Bucket')[1], resource_name, CASE WHEN event_source LIKE '%.oss-%' THEN split_part(event_source, '.', 1) END, param(request_parameters, request_parameter_json, 'bucketName'), param(request_parameters, request_parameter_json, 'bucket')) AS bucket,
        -- Each operation has parameters of its own. One of another operation means nothing.
        CASE WHEN event_action IN ('putbucketacl', 'putbucket') THEN coalesce(nullif(param(request_parameters, request_parameter_json, 'acl'), ''), nullif(param(request_parameters, request_parameter_json, 'x-oss-acl'), '')) END AS acl,
        event_action IN ('putbucketacl', 'putbucket') AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'acl'), 're', '(?i)^ *public-read'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'x-oss-acl'), 're', '(?i)^ *public-read'), false)) AS acl_public,
        CASE WHEN event_action IN ('putbucketpolicy', 'putaccesspointpolicy') THEN coalesce(entries(param(request_parameters, request_parameter_json, 'policy'), 'Statement'), entries(request_parameters, request_parameter_json, 'policy.Statement'), entries(request_parameters, request_parameter_json, 'Statement')) END AS statements,
        CASE WHEN event_action LIKE 'put%publicaccessblock' THEN array_concat(coalesce(values_at(request_parameters, request_parameter_json, 'BlockPublicAccess'), make_array()), coalesce(values_at(request_parameters, request_parameter_json, 'PublicAccessBlockConfiguration.BlockPublicAccess'), make_array())) END AS block,
        CASE WHEN event_action = 'createaccesspoint' THEN array_concat(coalesce(values_at(request_parameters, request_parameter_json, 'NetworkOrigin'), make_array()), coalesce(values_at(request_parameters, request_parameter_json, 'CreateAccessPointConfiguration.NetworkOrigin'), make_array())) END AS network,
        event_action IN ('putbucketpolicy', 'putaccesspointpolicy') AS on_policy,
        event_action LIKE 'put%publicaccessblock' AS on_block,
        -- Where not even the account itself is in the list, there is no list to tell strangers by.
        coalesce(matches(account_id, 'accounts'), false) AS accounts_known
    FROM events
    WHERE event_action IN ('putbucketacl', 'putbucket', 'putbucketpolicy', 'putaccesspointpolicy', 'putbucketwebsite', 'createaccesspoint',
                     'deletebucketpublicaccessblock', 'deletepublicaccessblock', 'deleteaccesspointpublicaccessblock',
                     'putbucketpublicaccessblock', 'putpublicaccessblock', 'putaccesspointpublicaccessblock')
      AND lower(service_name) = 'oss'
      AND outcome = 'success'
),
-- Each statement by itself: a harmless one beside it hides nothing.
statements AS (
    SELECT event_key, account_id, unnest(statements) AS statement
    FROM calls
    WHERE on_policy AND statements IS NOT NULL
),
allowed AS (
    SELECT
        event_key,
        account_id,
        coalesce(values_at(statement, 'Principal'), make_array()) AS principals,
        param(statement, 'NotPrincipal') IS NOT NULL AS all_but_some,
        coalesce(param(statement, 'Condition'), '{}') <> '{}' AS has_condition,
        coalesce(internet_share(values_at(statement, 'Condition.IpAddress.acs:SourceIp')) < 0.5, false)
            OR coalesce(regexp_like(param(statement, 'Condition'), '(?i)"(ForAnyValue:)?String(Equals|EqualsIgnoreCase|Like)" *: *\{[^{}]*"acs:(SourceVpc|SourceVpcId|SourceAccount|SourceArn|PrincipalArn|PrincipalRDId|PrincipalRDPath|AccessId)" *: *("[^"*?]*[0-9][^"]*"|\[ *"[^"*?]*[0-9][^"]*"( *, *"[^"*?]*[0-9][^"]*")* *\])'), false) AS is_restricted
    FROM statements
    WHERE lower(coalesce(param(statement, 'Effect'), 'allow')) <> 'deny'
),
principals AS (
    SELECT event_key, account_id, all_but_some, has_condition, is_restricted, unnest(CASE WHEN cardinality(principals) > 0 THEN principals ELSE make_array('') END) AS principal
    FROM allowed
),
named AS (
    SELECT
        *,
        all_but_some OR regexp_like(principal, '^("?\*"?|acs:ram::\*:.*|arn:sts::\*:.*)$') OR principal LIKE '%["*"%' AS is_everybody,
        CASE WHEN regexp_like(principal, '^[0-9]{1,16}$') THEN principal WHEN regexp_like(principal, '^(acs:ram|arn:sts)::[0-9]+:') THEN split_part(principal, ':', 4) END AS owner,
        CASE WHEN regexp_like(principal, '^[0-9]{17,}$') THEN principal END AS user_id
    FROM principals
),
policies AS (
    SELECT
        event_key,
        bool_or(is_everybody AND NOT is_restricted) AS for_everybody,
        bool_or(is_everybody AND is_restricted) AS for_everybody_if,
        bool_and(has_condition) FILTER (WHERE is_everybody AND NOT is_restricted) AS has_weak_condition,
        min(CASE WHEN owner IS NOT NULL AND (owner <> '' AND owner <> coalesce(account_id, '') AND NOT matches(owner, 'accounts')) THEN owner END) AS stranger,
        min(user_id) AS user_id
    FROM named
    GROUP BY event_key
),
-- Only the first call of a principal from a network on a day can be new.
days AS (
    SELECT account, who, event_day, lag(event_day) OVER (PARTITION BY account, who ORDER BY event_day) AS before
    FROM (SELECT DISTINCT account, who, event_day FROM calls WHERE event_action = 'putbucketacl' AND event_time IS NOT NULL)
),
judged AS (
    SELECT
        calls.*,
        policies.for_everybody,
        policies.for_everybody_if,
        policies.has_weak_condition,
        policies.stranger,
        policies.user_id,
        NOT coalesce(days.before >= calls.event_day - INTERVAL '30 days', false) AS is_new,
        coalesce(NOT ip_in(calls.source_ip, 'corporate_cidrs', calls.event_time), false) AS from_outside,
        CASE
            WHEN acl_public THEN 'Set an ACL that lets everybody read the bucket'
            WHEN event_action = 'putbucketacl' AND acl IS NULL THEN 'Set the ACL of a bucket'
            WHEN on_policy AND policies.for_everybody THEN 'Set a policy that lets everybody in'
            WHEN on_policy AND policies.stranger IS NOT NULL THEN 'Set a policy that lets another account in'
            WHEN on_policy AND policies.for_everybody_if THEN 'Set a policy that lets everybody in under a condition'
            WHEN on_policy AND policies.user_id IS NOT NULL THEN 'Set a policy that lets single users in'
            WHEN on_policy AND statements IS NULL THEN 'Set a policy'
            WHEN event_action = 'deletepublicaccessblock' THEN 'Removed the block of public access of the whole account'
            WHEN event_action LIKE 'delete%publicaccessblock' THEN 'Removed the block of public access'
            WHEN on_block AND any_is(block, 're', '(?i)^ *(false|0|off) *$') THEN 'Switched off the block of public access'
            WHEN on_block AND cardinality(block) = 0 THEN 'Set the block of public access'
            WHEN event_action = 'putbucketwebsite' THEN 'Made a bucket serve a website'
            WHEN event_action = 'createaccesspoint' AND (cardinality(network) = 0 OR any_is(network, 'equals', 'internet')) THEN 'Made an access point to a bucket'
        END AS opened
    FROM calls
    LEFT JOIN policies ON policies.event_key = calls.event_key
    LEFT JOIN days ON days.account = calls.account AND days.who = calls.who AND days.event_day = calls.event_day
),
weighed AS (
    SELECT
        *,
        opened = 'Set the ACL of a bucket' AS is_acl,
        opened IN ('Set the ACL of a bucket', 'Set a policy', 'Removed the block of public access', 'Set the block of public access', 'Made a bucket serve a website') AS is_review
    FROM judged
    WHERE opened IS NOT NULL
)
SELECT
    weighed.*,
    -- One finding for each bucket and day; ACLs without a value, which are many, make one for each principal and day.
    CASE WHEN is_acl THEN '' ELSE coalesce(bucket, '') END AS scope,
    -- Sessions of a pipeline or of a workload are many; what is usual for its role is one finding.
    CASE WHEN is_acl THEN who ELSE principal_id END AS grouped_by,
    CASE WHEN is_review THEN 'review' END AS variant,
    CASE
        WHEN opened IN ('Set the ACL of a bucket', 'Set the block of public access', 'Made a bucket serve a website', 'Made an access point to a bucket') THEN 'low'
        WHEN opened IN ('Set a policy', 'Removed the block of public access', 'Set a policy that lets everybody in under a condition', 'Set a policy that lets single users in') THEN 'medium'
        WHEN opened = 'Set a policy that lets another account in' AND NOT accounts_known THEN 'medium'
        WHEN opened = 'Switched off the block of public access' AND event_action <> 'putpublicaccessblock' THEN 'medium'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        opened,
        'The bucket is ' || bucket,
        'The ACL is ' || acl,
        CASE WHEN on_policy AND for_everybody AND has_weak_condition THEN 'The condition of the policy names no network and no account' END,
        CASE WHEN on_policy AND accounts_known THEN 'The account ' || stranger || ' is not the company''s' WHEN on_policy THEN 'The account is ' || stranger END,
        CASE WHEN is_acl AND is_new THEN 'The principal set no ACL from this network in the 30 days before' END,
        CASE WHEN is_review AND from_outside THEN 'The address ' || source_ip_address || ' is in no corporate range' END) AS why,
    nullif(concat_ws('; ',
        CASE WHEN is_review THEN 'The event does not say whether the bucket is public now' END,
        CASE WHEN opened = 'Set a policy that lets another account in' AND NOT accounts_known THEN 'Whether the account is one of the company (the parameter accounts does not list this one)' END,
        CASE WHEN opened = 'Set a policy that lets single users in' THEN 'The policy does not say of which account the user ' || user_id || ' is' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM weighed
WHERE NOT is_acl OR is_new
