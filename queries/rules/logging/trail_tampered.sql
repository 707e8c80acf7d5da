-- Changes that make the trail record less or deliver elsewhere. Attempts count too, because nobody tries this by mistake.
-- An update that names the trail, or a destination that it had in the ninety days before, changes nothing and is left out: tools send
-- it at every run. Without its role a trail delivers nothing either: changes of the roles that the vendor makes for trails count too.
WITH calls AS (
    SELECT
        events.*,
        coalesce(account_id, '') AS account,
        date_bin(INTERVAL '1 day', event_time) AS event_day,
        -- Each operation has one of the two; whoever calls can add the other.
        CASE WHEN event_action IN ('putdataeventselector', 'deletedataeventselector') THEN param(request_parameters, request_parameter_json, 'TrailName') ELSE param(request_parameters, request_parameter_json, 'Name') END AS trail,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'EventRW'), 're', '(?i)^ *(read|write) *$'), false) AS fewer_kinds,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'TrailRegion'), 're', '(?i)^ *[a-z]+-'), false) AS fewer_regions,
        nullif(concat_ws(', ', param(request_parameters, request_parameter_json, 'OssBucketName'), param(request_parameters, request_parameter_json, 'SlsProjectArn'), param(request_parameters, request_parameter_json, 'MaxComputeProjectArn')), '') AS destination,
        nullif(concat_ws(', ', param(request_parameters, request_parameter_json, 'OssWriteRoleArn'), param(request_parameters, request_parameter_json, 'SlsWriteRoleArn'), param(request_parameters, request_parameter_json, 'MaxComputeWriteRoleArn')), '') AS writers,
        -- All that a tool sends at every run.
        nullif(concat_ws(', ', param(request_parameters, request_parameter_json, 'OssBucketName'), param(request_parameters, request_parameter_json, 'SlsProjectArn'), param(request_parameters, request_parameter_json, 'MaxComputeProjectArn'), param(request_parameters, request_parameter_json, 'OssWriteRoleArn'), param(request_parameters, request_parameter_json, 'SlsWriteRoleArn'), param(request_parameters, request_parameter_json, 'MaxComputeWriteRoleArn')), '') AS delivery,
        -- The account is the fourth part of `acs:log:<region>:<account>:project/<name>`.
        split_part(coalesce(param(request_parameters, request_parameter_json, 'SlsProjectArn'), ''), ':', 4) AS log_account,
        split_part(coalesce(param(request_parameters, request_parameter_json, 'MaxComputeProjectArn'), ''), ':', 4) AS table_account,
        split_part(coalesce(param(request_parameters, request_parameter_json, 'OssWriteRoleArn'), ''), ':', 4) AS bucket_account,
        -- The vendor requires the name of the trail, so that parameters without it are not those of the call.
        param(request_parameters, request_parameter_json, 'Name') IS NULL AS nothing_said,
        -- Where not even the account itself is in the list, there is no list to tell strangers by.
        coalesce(matches(account_id, 'accounts'), false) AS accounts_known,
        event_action IN ('detachpolicyfromrole', 'deleterole', 'updaterole', 'deleteservicelinkedrole') AS on_role,
        param(request_parameters, request_parameter_json, 'RoleName') AS role_changed
    FROM events
    WHERE event_action IN ('createtrail', 'stoplogging', 'deletetrail', 'updatetrail', 'deletedataeventselector', 'putdataeventselector', 'disableinsight', 'updateglobaleventsstorageregion')
      AND lower(service_name) = 'actiontrail'
      AND outcome <> 'dry_run'
       OR event_action IN ('detachpolicyfromrole', 'deleterole', 'updaterole', 'deleteservicelinkedrole')
      AND lower(service_name) IN ('ram', 'resourcemanager')
      AND outcome = 'success'
      AND any_is(values_at(request_parameters, request_parameter_json, 'RoleName'), 're', '(?i)^ *(aliyunactiontraildefaultrole|aliyunserviceroleforactiontrail|aliyunlogdefaultrole) *$')
      -- A description, or how long a session may last, changes no right.
      AND (event_action <> 'updaterole' OR values_at(request_parameters, request_parameter_json, 'NewAssumeRolePolicyDocument') IS NOT NULL
        OR coalesce(values_at(request_parameters, request_parameter_json, 'NewDescription'), values_at(request_parameters, request_parameter_json, 'NewMaxSessionDuration')) IS NULL)
),
-- Where the trail was set up to deliver, day by day. Tools send the destination again at every run.
places AS (
    SELECT account, coalesce(trail, '') AS place_of, delivery AS place, event_day, lag(event_day) OVER (PARTITION BY account, coalesce(trail, ''), delivery ORDER BY event_day) AS before
    FROM (SELECT DISTINCT account, trail, delivery, event_day FROM calls WHERE outcome = 'success' AND event_action IN ('createtrail', 'updatetrail') AND delivery IS NOT NULL AND event_time IS NOT NULL)
),
judged AS (
    SELECT calls.*,
           coalesce(places.before >= calls.event_day - INTERVAL '90 days', false) AS same_place,
           CASE WHEN (log_account <> '' AND log_account <> coalesce(account_id, '') AND NOT matches(log_account, 'accounts')) THEN log_account WHEN (table_account <> '' AND table_account <> coalesce(account_id, '') AND NOT matches(table_account, 'accounts')) THEN table_account WHEN (bucket_account <> '' AND bucket_account <> coalesce(account_id, '') AND NOT matches(bucket_account, 'accounts')) THEN bucket_account END AS stranger
    FROM calls
    LEFT JOIN places ON places.account = calls.account AND places.place_of = coalesce(calls.trail, '') AND places.place = calls.delivery AND places.event_day = calls.event_day
    WHERE event_action <> 'createtrail'
)
SELECT
    judged.*,
    CASE
        WHEN outcome <> 'success' THEN 'medium'
        WHEN event_action IN ('stoplogging', 'deletetrail') THEN 'critical'
        WHEN event_action = 'updatetrail' AND stranger IS NOT NULL AND accounts_known THEN 'critical'
        WHEN event_action = 'updatetrail' AND NOT fewer_kinds AND NOT fewer_regions THEN 'medium'
        WHEN event_action = 'putdataeventselector' THEN 'medium'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        CASE
            WHEN outcome <> 'success' THEN 'Tried to make the trail record less with ' || event_name
            WHEN event_action = 'stoplogging' THEN 'Stopped a trail'
            WHEN event_action = 'deletetrail' THEN 'Deleted a trail'
            WHEN event_action = 'updatetrail' THEN 'Changed a trail'
            WHEN event_action = 'deletedataeventselector' THEN 'Ended the recording of data events'
            WHEN event_action = 'putdataeventselector' THEN 'Changed which data events the trail records'
            WHEN event_action = 'detachpolicyfromrole' THEN 'Took rights from the role ' || role_changed || ', which delivers the trail'
            WHEN event_action = 'updaterole' THEN 'Changed who may take the role ' || role_changed || ', which delivers the trail'
            WHEN on_role THEN 'Deleted the role ' || role_changed || ', which delivers the trail'
            WHEN event_action = 'disableinsight' THEN 'Switched off the detection of unusual calls (Insight)'
            ELSE 'Moved the events of global services to another region'
        END,
        'The trail is ' || trail,
        CASE WHEN event_action = 'updatetrail' AND fewer_kinds THEN 'It records only events of the kind ' || param(request_parameters, request_parameter_json, 'EventRW') END,
        CASE WHEN event_action = 'updatetrail' AND fewer_regions THEN 'It records only the regions ' || param(request_parameters, request_parameter_json, 'TrailRegion') END,
        CASE WHEN event_action = 'updatetrail' THEN 'It delivers to ' || destination END,
        CASE WHEN event_action = 'updatetrail' THEN 'It delivers with the role ' || writers END,
        CASE WHEN event_action = 'updatetrail' AND accounts_known THEN 'The account ' || stranger || ' of the destination is not the company''s'
            WHEN event_action = 'updatetrail' THEN 'The account of the destination is ' || stranger END,
        CASE WHEN event_action = 'updateglobaleventsstorageregion' THEN 'The new region is ' || param(request_parameters, request_parameter_json, 'StorageRegion') END,
        CASE WHEN outcome <> 'success' THEN 'The call failed: ' || error_code END) AS why,
    nullif(concat_ws('; ',
        CASE WHEN event_action = 'updatetrail' AND nothing_said THEN 'The event does not say what was changed in the trail' END,
        CASE WHEN event_action = 'updatetrail' AND stranger IS NOT NULL AND NOT accounts_known THEN 'Whether the account is one of the company (the parameter accounts does not list this one)' END,
        CASE WHEN event_action = 'putdataeventselector' THEN 'The event does not say which data events were recorded before' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM judged
WHERE event_action <> 'updatetrail'
   OR fewer_kinds
   OR fewer_regions
   OR delivery IS NOT NULL AND NOT same_place
   OR stranger IS NOT NULL AND NOT same_place
   OR nothing_said
