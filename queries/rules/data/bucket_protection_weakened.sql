-- Encryption, logging, policy, replication or versioning of a bucket was removed, or its objects were made to expire within days: all of them,
-- or those under a prefix that does not look temporary. Each lifecycle rule is judged by itself, and disabled ones count nothing.
-- The vendor's events of OSS carry no values: versioning and lifecycle without a value count (variant `review`) where the principal
-- did not set them from the same network in the thirty days before.
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
        array_concat(coalesce(values_at(request_parameters, request_parameter_json, 'VersioningConfiguration.Status'), make_array()), coalesce(values_at(request_parameters, request_parameter_json, 'Status'), make_array())) AS versioning,
        array_concat(coalesce(entries(request_parameters, request_parameter_json, 'Rule'), make_array()), coalesce(entries(param(request_parameters, request_parameter_json, 'LifecycleConfiguration'), 'Rule'), make_array()), coalesce(entries(param(request_parameters, request_parameter_json, 'LifecycleConfiguration'), 'Rules'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'Rules'), make_array()),
            coalesce(entries(request_parameters, request_parameter_json, 'LifecycleConfiguration.Rule'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'LifecycleConfiguration.Rules'), make_array())) AS rules,
        event_action IN ('putbucketversioning', 'putbucketlifecycle') AS has_value
    FROM events
    WHERE event_action IN ('deletebucketencryption', 'deletebucketlogging', 'deletebucketpolicy', 'deletebucketinventory', 'deletebucketreplication', 'putbucketversioning', 'putbucketlifecycle', 'abortbucketworm')
      AND lower(service_name) = 'oss'
      AND outcome = 'success'
),
rules AS (
    SELECT event_key, unnest(rules) AS rule
    FROM calls
    WHERE event_action = 'putbucketlifecycle'
),
expiries AS (
    SELECT
        event_key,
        -- A rule without a prefix concerns every object.
        min(CASE WHEN prefix = '' THEN days END) AS days_all,
        -- Many rules, each with a prefix, can concern every object too.
        count(CASE WHEN days <= 7 OR dated THEN 1 END) AS soon,
        bool_or(prefix = '' AND dated) AS by_date,
        min(CASE WHEN prefix <> '' AND NOT temporary THEN days END) AS days_prefix,
        min(CASE WHEN prefix <> '' AND NOT temporary AND (days <= 7 OR dated) THEN prefix END) AS prefix
    FROM (SELECT event_key, days, dated, prefix, regexp_like(lower(prefix), '(^|[^a-z])(te?mp|temporary|cache|caches|trash|logs?|scratch|test|tests|upload|uploads|build|builds)([^a-z]|$)') AS temporary
        FROM (SELECT event_key, TRY_CAST(param(rule, 'Expiration.Days') AS BIGINT) AS days,
                coalesce(any_is(values_at(rule, 'Expiration.CreatedBeforeDate'), 're', '.'), any_is(values_at(rule, 'Expiration.Date'), 're', '.'), false) AS dated,
                coalesce(param(rule, 'Prefix'), param(rule, 'Filter.Prefix'), '') AS prefix
            FROM rules
            WHERE lower(coalesce(param(rule, 'Status'), 'enabled')) <> 'disabled'))
    GROUP BY event_key
),
-- Only the first call of a principal from a network on a day can be new.
days AS (
    SELECT account, who, action, event_day, lag(event_day) OVER (PARTITION BY account, who, action ORDER BY event_day) AS before
    FROM (SELECT DISTINCT account, who, event_action AS action, event_day FROM calls WHERE has_value AND event_time IS NOT NULL)
),
judged AS (
    SELECT
        calls.*,
        expiries.days_all,
        expiries.days_prefix,
        expiries.prefix,
        has_value AND (event_action = 'putbucketversioning' AND cardinality(versioning) = 0 OR event_action = 'putbucketlifecycle' AND cardinality(rules) = 0) AS is_review,
        NOT coalesce(days.before >= calls.event_day - INTERVAL '30 days', false) AS is_new,
        coalesce(NOT ip_in(calls.source_ip, 'corporate_cidrs', calls.event_time), false) AS from_outside,
        CASE
            WHEN event_action = 'deletebucketencryption' THEN 'Removed the encryption of a bucket'
            WHEN event_action = 'deletebucketlogging' THEN 'Switched off the access log of a bucket'
            WHEN event_action = 'deletebucketpolicy' THEN 'Deleted the policy of a bucket'
            WHEN event_action = 'deletebucketinventory' THEN 'Deleted the inventory of a bucket'
            WHEN event_action = 'deletebucketreplication' THEN 'Ended the replication of a bucket'
            WHEN event_action = 'abortbucketworm' THEN 'Gave up the retention lock of a bucket'
            WHEN event_action = 'putbucketversioning' AND cardinality(versioning) = 0 THEN 'Set the versioning of a bucket'
            WHEN event_action = 'putbucketversioning' AND any_is(versioning, 'equals', 'suspended') THEN 'Suspended the versioning of a bucket'
            WHEN event_action = 'putbucketlifecycle' AND cardinality(rules) = 0 THEN 'Set when the objects of a bucket expire'
            WHEN event_action = 'putbucketlifecycle' AND (expiries.days_all <= 7 OR expiries.soon > 5 OR expiries.by_date) THEN 'Made all objects of a bucket expire soon'
            WHEN event_action = 'putbucketlifecycle' AND expiries.prefix IS NOT NULL THEN 'Made objects under a prefix of a bucket expire soon'
        END AS weakened
    FROM calls
    LEFT JOIN expiries ON expiries.event_key = calls.event_key
    LEFT JOIN days ON days.account = calls.account AND days.who = calls.who AND days.action = calls.event_action AND days.event_day = calls.event_day
)
SELECT
    judged.*,
    -- Sessions of a pipeline or of a workload are many; what is usual for its role is one finding.
    CASE WHEN is_review THEN who ELSE principal_id END AS grouped_by,
    CASE WHEN is_review THEN 'review' WHEN weakened = 'Made objects under a prefix of a bucket expire soon' THEN 'prefix' END AS variant,
    CASE WHEN is_review THEN 'low' WHEN weakened = 'Made all objects of a bucket expire soon' THEN 'high'
        WHEN weakened = 'Made objects under a prefix of a bucket expire soon' THEN 'low' ELSE 'medium' END AS severity,
    concat_ws('; ',
        weakened,
        'The bucket is ' || bucket,
        CASE WHEN weakened = 'Made objects under a prefix of a bucket expire soon' THEN 'The prefix is ' || prefix END,
        'Objects expire after ' || CAST(CASE WHEN weakened = 'Made objects under a prefix of a bucket expire soon' THEN CASE WHEN days_prefix <= 7 THEN days_prefix END ELSE days_all END AS VARCHAR) || ' days',
        CASE WHEN is_review AND is_new THEN 'The principal did not set this from this network in the 30 days before' END,
        CASE WHEN is_review AND from_outside THEN 'The address ' || source_ip_address || ' is in no corporate range' END) AS why,
    nullif(concat_ws('; ',
        CASE WHEN is_review THEN 'The event does not say what was set' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM judged
WHERE weakened IS NOT NULL
  AND (NOT is_review OR is_new)
