-- Logs, their index, their retention or their alarms were removed or weakened. Critical for those of a trail: its Logstore is
-- named `actiontrail_<trail>`; its project and its bucket are those that a call on the trail named, or have a telling name. What
-- pipelines and people do to other logs and alerts every day counts where the principal did no such thing from the same network in
-- the thirty days before.
WITH trails AS (
    SELECT event_time, lower(param(request_parameters, request_parameter_json, 'OssBucketName')) AS bucket, lower(split_part(param(request_parameters, request_parameter_json, 'SlsProjectArn'), '/', 2)) AS project
    FROM events
    WHERE event_time IS NOT NULL AND event_action IN ('createtrail', 'updatetrail') AND lower(service_name) = 'actiontrail' AND outcome = 'success'
),
calls AS (
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
        coalesce(param(request_parameters, request_parameter_json, 'project'), param(request_parameters, request_parameter_json, 'projectName')) AS project,
        -- Other operations name none: whoever calls can add the parameter.
        CASE WHEN event_action IN ('deletelogstore', 'deleteindex', 'updatelogstore', 'updateindex') THEN coalesce(param(request_parameters, request_parameter_json, 'logstore'), param(request_parameters, request_parameter_json, 'logstoreName'), param(request_parameters, request_parameter_json, 'body.logstoreName')) END AS logstore,
        -- The caller chooses the parameters, so the resource comes first.
        CASE WHEN lower(service_name) = 'oss' THEN lower(coalesce(values_at(referenced_resources, 'ACS::OSS::Bucket')[1], resource_name, CASE WHEN event_source LIKE '%.oss-%' THEN split_part(event_source, '.', 1) END, param(request_parameters, request_parameter_json, 'bucketName'), param(request_parameters, request_parameter_json, 'bucket'))) END AS bucket,
        coalesce(param(request_parameters, request_parameter_json, 'alertName'), param(request_parameters, request_parameter_json, 'body.name')) AS alert,
        -- A second parameter with a harmless value hides nothing: the shortest time counts, and any name of a trail's Logstore.
        least(TRY_CAST(values_at(request_parameters, request_parameter_json, 'ttl')[1] AS BIGINT), TRY_CAST(values_at(request_parameters, request_parameter_json, 'ttl')[2] AS BIGINT), TRY_CAST(values_at(request_parameters, request_parameter_json, 'body.ttl')[1] AS BIGINT), TRY_CAST(values_at(request_parameters, request_parameter_json, 'body.ttl')[2] AS BIGINT)) AS days_kept,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'logstore'), 'startswith', 'actiontrail'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'logstoreName'), 'startswith', 'actiontrail'), false)
            OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'body.logstoreName'), 'startswith', 'actiontrail'), false) AS trail_logstore,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'body.status'), 're', '(?i)disable'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'status'), 're', '(?i)disable'), false) AS alert_disabled,
        -- The operation has the policy in `body`. Other places can hold what takes no effect: they add strangers and clear nobody.
        CASE WHEN event_action = 'putprojectpolicy' THEN array_concat(coalesce(entries(param(request_parameters, request_parameter_json, 'body'), 'Statement'), entries(request_parameters, request_parameter_json, 'body.Statement'), make_array()),
            coalesce(entries(param(request_parameters, request_parameter_json, 'policy'), 'Statement'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'Statement'), make_array())) END AS statements,
        event_action = 'putprojectpolicy' AND coalesce(entries(param(request_parameters, request_parameter_json, 'body'), 'Statement'), entries(request_parameters, request_parameter_json, 'body.Statement')) IS NULL AS policy_unknown
    FROM events
    WHERE outcome = 'success'
    AND (event_action IN ('deleteproject', 'deletelogstore', 'deleteindex', 'disablealert', 'deletealert', 'updatelogstore', 'updateindex', 'updatealert', 'putprojectpolicy',
                          'stopossexport', 'deleteossexport', 'deletecollectionpolicy')
         AND lower(service_name) IN ('sls', 'log')
      OR event_action IN ('deletebucket', 'putbucketlifecycle') AND lower(service_name) = 'oss')
),
-- Each statement of a project's policy by itself: a harmless one beside it hides nothing.
statements AS (
    SELECT event_key, account_id, unnest(statements) AS statement
    FROM calls
    WHERE statements IS NOT NULL
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
-- The places that a trail was set up to deliver to. They can belong to another account than the trail; their names are unique.
of_trail AS (
    SELECT calls.event_key
    FROM calls
    JOIN trails ON trails.bucket = calls.bucket
    WHERE trails.event_time <= calls.event_time AND trails.event_time >= calls.event_time - INTERVAL '180 days'
    UNION
    SELECT calls.event_key
    FROM calls
    JOIN trails ON trails.project = lower(calls.project)
    WHERE trails.event_time <= calls.event_time AND trails.event_time >= calls.event_time - INTERVAL '180 days'
),
-- Only the first call of a principal from a network on a day can be new.
days AS (
    SELECT account, who, action, event_day, lag(event_day) OVER (PARTITION BY account, who, action ORDER BY event_day) AS before
    FROM (SELECT DISTINCT account, who, event_action AS action, event_day FROM calls WHERE event_time IS NOT NULL)
),
judged AS (
    SELECT
        calls.*,
        NOT coalesce(days.before >= calls.event_day - INTERVAL '30 days', false) AS is_new,
        coalesce(NOT ip_in(source_ip, 'corporate_cidrs', event_time), false) AS from_outside,
        -- Where not even the account itself is in the list, there is no list to tell strangers by.
        coalesce(matches(calls.account_id, 'accounts'), false) AS accounts_known,
        of_trail.event_key IS NOT NULL
            OR coalesce(regexp_like(calls.bucket, 'trail|audit'), false)
            OR trail_logstore
            OR calls.logstore IS NULL AND coalesce(regexp_like(lower(calls.project), 'trail|audit'), false) AS is_trail,
        coalesce(policies.for_everybody, false) AS for_everybody,
        policies.stranger
    FROM calls
    LEFT JOIN policies ON policies.event_key = calls.event_key
    LEFT JOIN of_trail ON of_trail.event_key = calls.event_key
    LEFT JOIN days ON days.account = calls.account AND days.who = calls.who AND days.action = calls.event_action AND days.event_day = calls.event_day
)
SELECT
    judged.*,
    -- Sessions of a pipeline or of a workload are many; what is usual for its role is one finding.
    CASE WHEN is_trail THEN principal_id ELSE who END AS grouped_by,
    CASE WHEN event_action = 'updatelogstore' AND days_kept IS NULL THEN 'undetermined'
        WHEN policy_unknown AND NOT for_everybody AND stranger IS NULL AND NOT is_trail THEN 'undetermined' END AS variant,
    CASE
        WHEN event_action IN ('deleteproject', 'deletelogstore', 'deletebucket') AND is_trail THEN 'critical'
        WHEN event_action = 'deleteindex' AND is_trail THEN 'critical'
        WHEN event_action = 'deleteproject' THEN 'high'
        WHEN event_action = 'updatelogstore' AND is_trail AND days_kept IS NULL THEN 'medium'
        WHEN event_action IN ('updatelogstore', 'putbucketlifecycle', 'stopossexport', 'deleteossexport', 'deletecollectionpolicy') AND is_trail THEN 'high'
        WHEN event_action = 'putprojectpolicy' AND (for_everybody OR stranger IS NOT NULL AND accounts_known) THEN 'high'
        WHEN event_action = 'putprojectpolicy' AND stranger IS NOT NULL THEN 'medium'
        WHEN event_action = 'putprojectpolicy' AND NOT is_trail THEN 'low'
        WHEN event_action = 'updatealert' AND alert_disabled THEN 'medium'
        WHEN event_action IN ('updatealert', 'updatelogstore') THEN 'low'
        ELSE 'medium'
    END AS severity,
    concat_ws('; ',
        CASE WHEN event_action = 'updatelogstore' AND days_kept IS NULL THEN 'Changed a Logstore' END,
        CASE event_action
            WHEN 'deleteproject' THEN 'Deleted a project of the log service with all its logs'
            WHEN 'deletelogstore' THEN 'Deleted a Logstore'
            WHEN 'deleteindex' THEN 'Deleted an index, so that the logs can no longer be searched'
            WHEN 'disablealert' THEN 'Disabled an alert on logs'
            WHEN 'deletealert' THEN 'Deleted an alert on logs'
            WHEN 'updatealert' THEN 'Changed an alert on logs'
            WHEN 'updatelogstore' THEN CASE WHEN days_kept IS NOT NULL THEN 'Set a short retention of a Logstore' END
            WHEN 'updateindex' THEN 'Changed the index of a Logstore'
            WHEN 'putprojectpolicy' THEN 'Changed who may use a project of the log service'
            WHEN 'stopossexport' THEN 'Stopped the delivery of logs to OSS'
            WHEN 'deleteossexport' THEN 'Deleted the delivery of logs to OSS'
            WHEN 'deletecollectionpolicy' THEN 'Deleted a policy that collects logs'
            WHEN 'deletebucket' THEN 'Deleted a bucket'
            WHEN 'putbucketlifecycle' THEN 'Changed when the objects of a bucket expire'
        END,
        'The project is ' || project,
        'The Logstore is ' || logstore,
        'The bucket is ' || bucket,
        'The alert is ' || alert,
        CASE WHEN event_action = 'updatelogstore' THEN 'Logs are kept for ' || CAST(days_kept AS VARCHAR) || ' days' END,
        CASE WHEN alert_disabled THEN 'The alert is now disabled' END,
        CASE WHEN for_everybody THEN 'The policy lets everybody in' END,
        CASE WHEN accounts_known THEN 'The account ' || stranger || ' is not the company''s' ELSE 'The policy lets account ' || stranger || ' in' END,
        CASE WHEN is_trail THEN 'It seems to hold the events of a trail' END,
        CASE WHEN NOT is_trail AND is_new THEN 'The principal did no such thing from this network in the 30 days before' END,
        CASE WHEN NOT is_trail AND from_outside THEN 'The address ' || source_ip_address || ' is in no corporate range' END) AS why,
    nullif(concat_ws('; ',
        CASE WHEN policy_unknown THEN 'The event does not say whom the policy lets in' END,
        CASE WHEN stranger IS NOT NULL AND NOT accounts_known THEN 'Whether the account is one of the company (the parameter accounts does not list this one)' END,
        CASE WHEN event_action = 'updatealert' AND NOT alert_disabled THEN 'The event does not say what was changed in the alert' END,
        CASE WHEN event_action = 'updatelogstore' AND days_kept IS NULL THEN 'The event does not say how long the logs are kept' END,
        CASE WHEN event_action = 'putbucketlifecycle' THEN 'It is not known how long the objects were kept before' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM judged
WHERE event_action NOT IN ('deleteproject', 'deletelogstore', 'deleteindex', 'deletealert', 'disablealert', 'updatealert', 'updatelogstore', 'updateindex', 'putprojectpolicy', 'deletebucket', 'putbucketlifecycle')
   -- Pipelines make and remove logs, and who looks after alerts changes them often: what is new counts.
   OR event_action IN ('deleteproject', 'deletelogstore', 'deleteindex', 'deletealert', 'disablealert') AND (is_trail OR is_new)
   OR event_action = 'updatealert' AND (alert_disabled OR is_new)
   -- Half a year is what the classified protection standard wants for audit logs. Other logs may be short-lived by design.
   OR event_action = 'updatelogstore' AND (is_trail AND coalesce(days_kept < 180, true) OR days_kept <= 3 AND is_new)
   OR event_action = 'putprojectpolicy' AND (for_everybody OR stranger IS NOT NULL OR policy_unknown)
   OR event_action IN ('updateindex', 'putprojectpolicy', 'deletebucket', 'putbucketlifecycle') AND is_trail
