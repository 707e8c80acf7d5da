-- Images or snapshots are shared with a stranger's account, exported to a bucket, or copied to a region that no copy went to in the
-- thirty days before. Accounts of the company (`accounts`) are no strangers.
WITH calls AS (
    SELECT
        events.*,
        coalesce(account_id, '') AS account,
        date_bin(INTERVAL '1 day', event_time) AS event_day,
        -- Each operation has parameters of its own. One of another operation means nothing.
        CASE WHEN event_action IN ('exportsnapshot', 'copysnapshot') THEN param(request_parameters, request_parameter_json, 'SnapshotId') WHEN lower(service_name) = 'ecs' THEN param(request_parameters, request_parameter_json, 'ImageId') END AS image,
        -- The bucket has one name in the export of images and another in that of snapshots.
        CASE WHEN event_action IN ('exportimage', 'exportsnapshot') THEN param(request_parameters, request_parameter_json, 'OSSBucket') END AS export_bucket,
        -- Where not even the account itself is in the list, there is no list to tell strangers by.
        coalesce(matches(account_id, 'accounts'), false) AS accounts_known,
        event_action IN ('copysnapshot', 'copyimage') AS is_copy,
        CASE WHEN event_action IN ('copysnapshot', 'copyimage') THEN lower(coalesce(param(request_parameters, request_parameter_json, 'DestinationRegionId'), '')) ELSE '' END AS region,
        event_action = 'modifyimagesharepermission' AND coalesce(any_is(values_at(request_parameters, request_parameter_json, 'IsPublic'), 'equals', 'true'), false)
            OR event_action = 'modifyimagesharegrouppermission' AND coalesce(any_is(values_at(request_parameters, request_parameter_json, 'AddGroup'), 'equals', 'all'), false) AS for_everybody,
        CASE WHEN event_action = 'modifyimagesharegrouppermission' THEN array_to_string(entries(request_parameters, request_parameter_json, 'AddGroup'), ', ') END AS shared_group,
        -- The vendor requires the image, so that parameters without it are not those of the call.
        event_action IN ('modifyimagesharepermission', 'modifyimagesharegrouppermission') AND param(request_parameters, request_parameter_json, 'ImageId') IS NULL
            AND CASE WHEN event_action = 'modifyimagesharepermission' THEN entries(request_parameters, request_parameter_json, 'RemoveAccount') ELSE entries(request_parameters, request_parameter_json, 'RemoveGroup') END IS NULL AS nothing_said
    FROM events
    WHERE outcome = 'success'
      AND (event_action IN ('modifyimagesharepermission', 'modifyimagesharegrouppermission', 'exportimage', 'exportsnapshot', 'copysnapshot', 'copyimage') AND lower(service_name) = 'ecs'
        OR event_action IN ('createresourceshare', 'associateresourceshare') AND lower(service_name) = 'resourcesharing')
),
entries_of AS (
    SELECT event_key, account_id, unnest(CASE
        WHEN event_action = 'modifyimagesharepermission' THEN entries(request_parameters, request_parameter_json, 'AddAccount')
        WHEN event_action IN ('createresourceshare', 'associateresourceshare') THEN array_concat(coalesce(entries(request_parameters, request_parameter_json, 'Targets'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'TargetProperties'), make_array()))
    END) AS entry
    FROM calls
),
targets AS (
    SELECT event_key, account_id, CASE WHEN entry LIKE '{%' THEN coalesce(param(entry, 'TargetId'), '') ELSE trim(entry) END AS target
    FROM entries_of
),
strangers AS (
    SELECT event_key, string_agg(DISTINCT target, ', ' ORDER BY target) AS strangers
    FROM targets
    WHERE (target <> '' AND target <> coalesce(account_id, '') AND NOT matches(target, 'accounts'))
      -- Folders and the whole of the own resource directory are the company's.
      AND NOT regexp_like(target, '^(rd|fd|r)-')
    GROUP BY event_key
),
resources AS (
    SELECT event_key, unnest(array_concat(coalesce(entries(request_parameters, request_parameter_json, 'Resources'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'ResourceArns'), make_array()))) AS resource
    FROM calls
    WHERE lower(service_name) = 'resourcesharing'
),
holding AS (
    SELECT event_key, bool_or(regexp_like(lower(coalesce(param(resource, 'ResourceType'), resource)), '(^|:)(snapshot|image)')) AS holds_image
    FROM resources
    GROUP BY event_key
),
-- Only the first copy into a region on a day can be new.
days AS (
    SELECT account, region, event_day, lag(event_day) OVER (PARTITION BY account, region ORDER BY event_day) AS before
    FROM (SELECT DISTINCT account, region, event_day FROM calls WHERE is_copy AND event_time IS NOT NULL)
),
judged AS (
    SELECT
        calls.*,
        strangers.strangers,
        CASE
            WHEN is_copy AND calls.region = '' THEN 'Copied an image or a snapshot'
            WHEN is_copy AND calls.region <> lower(coalesce(acs_region, '')) AND NOT coalesce(days.before >= calls.event_day - INTERVAL '30 days', false) THEN 'Copied an image or a snapshot to another region'
            WHEN is_copy THEN NULL
            WHEN event_action IN ('exportimage', 'exportsnapshot') THEN 'Exported an image or a snapshot to a bucket'
            WHEN for_everybody THEN 'Made an image public'
            WHEN event_action = 'modifyimagesharegrouppermission' AND shared_group IS NOT NULL THEN 'Shared an image with a group of accounts'
            WHEN event_action = 'modifyimagesharepermission' AND strangers.strangers IS NOT NULL THEN 'Shared an image with another account'
            WHEN lower(service_name) = 'ecs' AND nothing_said THEN 'Changed with whom an image is shared'
            WHEN holding.holds_image AND strangers.strangers IS NOT NULL THEN 'Shared snapshots or images with another account'
            WHEN holding.holds_image AND event_action = 'associateresourceshare' AND entries(request_parameters, request_parameter_json, 'Targets') IS NULL THEN 'Added snapshots or images to a resource share'
        END AS leaves
    FROM calls
    LEFT JOIN strangers ON strangers.event_key = calls.event_key
    LEFT JOIN holding ON holding.event_key = calls.event_key
    LEFT JOIN days ON days.account = calls.account AND days.region = calls.region AND days.event_day = calls.event_day
)
SELECT
    judged.*,
    -- Sessions of a pipeline or of a workload are many; what is usual for its role is one finding.
    CASE WHEN is_copy THEN coalesce(role_name, principal_id) ELSE principal_id END AS grouped_by,
    CASE WHEN leaves IN ('Copied an image or a snapshot', 'Changed with whom an image is shared', 'Added snapshots or images to a resource share') THEN 'undetermined' END AS variant,
    CASE
        WHEN leaves IN ('Copied an image or a snapshot', 'Changed with whom an image is shared', 'Added snapshots or images to a resource share') THEN 'low'
        WHEN is_copy THEN 'medium'
        WHEN leaves IN ('Shared an image with another account', 'Shared snapshots or images with another account') AND NOT accounts_known THEN 'medium'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        leaves,
        'The image or snapshot is ' || image,
        CASE WHEN accounts_known THEN 'The account ' || strangers || ' is not the company''s' ELSE 'The account is ' || strangers END,
        CASE WHEN NOT for_everybody THEN 'The group is ' || shared_group END,
        'The bucket is ' || export_bucket,
        CASE WHEN is_copy THEN 'No copy went to the region ' || nullif(region, '') || ' in the 30 days before' END) AS why,
    nullif(concat_ws('; ',
        CASE WHEN leaves IN ('Shared an image with another account', 'Shared snapshots or images with another account') AND NOT accounts_known THEN 'Whether the account is one of the company (the parameter accounts does not list this one)' END,
        CASE WHEN export_bucket IS NOT NULL THEN 'The event does not say whose bucket it is' END,
        CASE WHEN leaves IN ('Copied an image or a snapshot', 'Changed with whom an image is shared', 'Added snapshots or images to a resource share') THEN 'The event does not say where to or with whom' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM judged
WHERE leaves IS NOT NULL
