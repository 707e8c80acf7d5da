-- A job copies a database to an address outside the company or to a stranger's account, or backups become files that can be
-- downloaded. Reads that return links to backups count only from outside the corporate ranges, where the principal did not make them
-- from the same network in the thirty days before: the console makes them whenever somebody looks at the page.
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
        CASE
            WHEN event_action = 'configuredtsjob' THEN param(request_parameters, request_parameter_json, 'DestinationEndpointOwnerID')
            WHEN event_action = 'modifydtsjobendpoint' THEN param(request_parameters, request_parameter_json, 'AliyunUid')
            WHEN event_action = 'createrestoretask' THEN param(request_parameters, request_parameter_json, 'CrossAliyunId')
        END AS owner,
        -- Where not even the account itself is in the list, there is no list to tell strangers by.
        coalesce(matches(account_id, 'accounts'), false) AS accounts_known,
        event_action IN ('configuredtsjob', 'configuremigrationjob', 'configuresynchronizationjob', 'modifydtsjobendpoint', 'createrestoretask') AS is_copy,
        event_action = 'modifydtsjobendpoint' AND NOT coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Endpoint'), 'startswith', 'dest'), true) AS is_source,
        event_action IN ('describebackups', 'describedetachedbackups', 'describebinlogfiles', 'describebackupsetdownloadlink') AS is_read,
        CASE
            WHEN event_action = 'configuredtsjob' THEN coalesce(param(request_parameters, request_parameter_json, 'SourceEndpointInstanceID'), param(request_parameters, request_parameter_json, 'DtsJobId'), param(request_parameters, request_parameter_json, 'DtsInstanceId'))
            WHEN event_action = 'configuremigrationjob' THEN coalesce(param(request_parameters, request_parameter_json, 'SourceEndpoint.InstanceID'), param(request_parameters, request_parameter_json, 'MigrationJobId'))
            WHEN event_action = 'configuresynchronizationjob' THEN coalesce(param(request_parameters, request_parameter_json, 'SourceEndpoint.InstanceID'), param(request_parameters, request_parameter_json, 'SynchronizationJobId'))
            WHEN event_action = 'modifydtsjobendpoint' THEN coalesce(param(request_parameters, request_parameter_json, 'DtsJobId'), param(request_parameters, request_parameter_json, 'DtsInstanceId'))
            WHEN event_action = 'createrestoretask' THEN param(request_parameters, request_parameter_json, 'BackupPlanId')
            WHEN lower(service_name) IN ('rds', 'dds') THEN param(request_parameters, request_parameter_json, 'DBInstanceId')
            WHEN lower(service_name) = 'polardb' THEN param(request_parameters, request_parameter_json, 'DBClusterId')
            WHEN lower(service_name) IN ('r-kvstore', 'oceanbasepro') THEN param(request_parameters, request_parameter_json, 'InstanceId')
        END AS database,
        param(request_parameters, request_parameter_json, 'BackupSetId') AS backup,
        -- The vendor requires the kind of the job and of its destination, so that parameters without them are not those of the call.
        CASE
            WHEN event_action = 'configuredtsjob' THEN coalesce(param(request_parameters, request_parameter_json, 'JobType'), param(request_parameters, request_parameter_json, 'DestinationEndpointInstanceType'))
            WHEN event_action = 'createrestoretask' THEN param(request_parameters, request_parameter_json, 'DestinationEndpointInstanceType')
            WHEN event_action IN ('configuremigrationjob', 'configuresynchronizationjob') THEN param(request_parameters, request_parameter_json, 'DestinationEndpoint.InstanceType')
        END IS NULL AS nothing_said
    FROM events
    WHERE outcome = 'success'
      AND (event_action IN ('configuredtsjob', 'configuremigrationjob', 'configuresynchronizationjob', 'modifydtsjobendpoint') AND lower(service_name) = 'dts'
        OR event_action IN ('createfullbackupsetdownload', 'createincrementbackupsetdownload', 'createrestoretask') AND lower(service_name) = 'dbs'
        OR event_action IN ('createbackupsetdownloadlink', 'describebackupsetdownloadlink') AND lower(service_name) = 'oceanbasepro'
        OR event_action IN ('describebackups', 'describedetachedbackups', 'describebinlogfiles') AND lower(service_name) IN ('rds', 'dds', 'polardb', 'r-kvstore'))
),
-- Every address that the call names: a second one that is harmless hides nothing, and neither does a parameter of another operation.
addresses AS (
    SELECT event_key, event_time, unnest(CASE
        WHEN event_action IN ('configuredtsjob', 'createrestoretask') THEN values_at(request_parameters, request_parameter_json, 'DestinationEndpointIP')
        WHEN event_action IN ('configuremigrationjob', 'configuresynchronizationjob') THEN values_at(request_parameters, request_parameter_json, 'DestinationEndpoint.IP')
        WHEN event_action = 'modifydtsjobendpoint' THEN values_at(request_parameters, request_parameter_json, 'EndpointIp')
    END) AS address
    FROM calls
    WHERE is_copy
),
destinations AS (
    SELECT
        event_key,
        min(CASE WHEN ip_class(address) = 'ip' AND NOT
            (ip_in_cidr(address, '10.0.0.0/8') OR ip_in_cidr(address, '172.16.0.0/12') OR ip_in_cidr(address, '192.168.0.0/16') OR ip_in_cidr(address, '100.64.0.0/10')
              OR ip_in_cidr(address, 'fc00::/7') OR coalesce(ip_in(address, 'corporate_cidrs', event_time), false)) THEN address END) AS outside,
        min(CASE WHEN ip_class(address) NOT IN ('ip', 'missing') THEN address END) AS host
    FROM addresses
    GROUP BY event_key
),
-- Only the first call of a principal from a network on a day can be new.
days AS (
    SELECT account, who, event_day, lag(event_day) OVER (PARTITION BY account, who ORDER BY event_day) AS before
    FROM (SELECT DISTINCT account, who, event_day FROM calls WHERE is_read AND event_time IS NOT NULL)
),
placed AS (
    SELECT
        calls.*,
        NOT coalesce(days.before >= calls.event_day - INTERVAL '30 days', false) AS is_new,
        destinations.outside,
        destinations.host,
        coalesce(destinations.outside, destinations.host) AS destination,
        coalesce(NOT ip_in(source_ip, 'corporate_cidrs', event_time), false) AS from_outside,
        -- True only where the corporate ranges are known and the address is not, or is IPv6 while the ranges list none.
        source_class <> 'service' AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL AND ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NOT NULL AS from_unknown
    FROM calls
    LEFT JOIN destinations ON destinations.event_key = calls.event_key
    LEFT JOIN days ON days.account = calls.account AND days.who = calls.who AND days.event_day = calls.event_day
    WHERE NOT is_source
),
judged AS (
    SELECT
        *,
        CASE
            WHEN is_copy AND owner IS NOT NULL AND (owner <> '' AND owner <> coalesce(account_id, '') AND NOT matches(owner, 'accounts')) THEN 'Copies a database to another account'
            WHEN is_copy AND outside IS NOT NULL THEN 'Copies a database to an address outside the company'
            WHEN is_copy AND host IS NOT NULL THEN 'Copies a database to a host given by name'
            WHEN is_copy AND database IS NULL AND nothing_said THEN 'Configured a job that copies a database'
            WHEN event_action IN ('createfullbackupsetdownload', 'createincrementbackupsetdownload', 'createbackupsetdownloadlink') THEN 'Made a backup into a file that can be downloaded'
            WHEN is_read AND is_new AND (from_outside OR from_unknown) THEN 'Read the list of backups, which holds links to them'
        END AS leaves
    FROM placed
)
SELECT
    judged.*,
    CASE WHEN leaves IN ('Copies a database to a host given by name', 'Configured a job that copies a database') OR is_read AND from_unknown THEN 'undetermined' END AS variant,
    CASE
        WHEN leaves = 'Configured a job that copies a database' OR is_read THEN 'low'
        WHEN leaves IN ('Copies a database to a host given by name', 'Made a backup into a file that can be downloaded') THEN 'medium'
        WHEN leaves = 'Copies a database to another account' AND NOT accounts_known AND outside IS NULL THEN 'medium'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        leaves,
        'The database or job is ' || database,
        'The destination is ' || destination,
        CASE WHEN leaves <> 'Copies a database to another account' THEN NULL WHEN accounts_known THEN 'The account ' || owner || ' is not the company''s' ELSE 'The account is ' || owner END,
        'The backup is ' || backup,
        CASE WHEN is_read AND from_outside THEN 'The address ' || source_ip_address || ' is in no corporate range' END) AS why,
    nullif(concat_ws('; ',
        CASE WHEN leaves = 'Copies a database to another account' AND NOT accounts_known THEN 'Whether the account is one of the company (the parameter accounts does not list this one)' END,
        CASE WHEN leaves IN ('Copies a database to a host given by name', 'Configured a job that copies a database') THEN 'It is not known whether the destination is outside the company' END,
        CASE WHEN is_read AND from_unknown THEN 'It is not known whether the call came from a corporate range' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM judged
WHERE leaves IS NOT NULL
