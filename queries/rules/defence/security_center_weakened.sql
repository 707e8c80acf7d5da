-- Agents, protections, backups or logs of Security Center were removed, or its alarms were silenced.
-- People of security deal with alarms every day: that they mark them as false or, from outside, ignore them counts where the principal
-- dealt with none from the same network in the thirty days before.
-- `PauseClient` has its sense in `Value`: 0 switches the protection off, 1 switches it on.
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
        array_to_string(coalesce(entries(request_parameters, request_parameter_json, 'Uuids'), entries(request_parameters, request_parameter_json, 'Uuid'), entries(request_parameters, request_parameter_json, 'UuidList'), entries(request_parameters, request_parameter_json, 'PolicyIds'), entries(request_parameters, request_parameter_json, 'PolicyId'), entries(request_parameters, request_parameter_json, 'Ids'), entries(request_parameters, request_parameter_json, 'Id'), entries(request_parameters, request_parameter_json, 'RuleIds'), entries(request_parameters, request_parameter_json, 'ClusterIds')), ', ') AS target,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Value'), 're', '^ *0+ *$'), false) AS paused,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Value'), 're', '^ *1 *$'), false) AS resumed,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'OperationCode'), 'contains', 'mark_mis'), false) AS whitelisted,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'OperationCode'), 'contains', 'ignore'), false) AS ignored,
        coalesce(NOT ip_in(source_ip, 'corporate_cidrs', event_time), source_class <> 'service' AND ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NOT NULL) AS from_elsewhere
    FROM events
    WHERE lower(service_name) IN ('aegis', 'sas')
      AND outcome = 'success'
      AND event_action IN ('pauseclient', 'adduninstallclientsbyuuids', 'unbindaegis', 'modifyweblockunbind', 'modifyweblockstatus', 'deleteservicetrail',
                           'operatesuspiciousoverallconfig', 'operatecommonoverallconfig', 'batchoperatecommonoverallconfig',
                           'deletebackuppolicy', 'deleteunibackuppolicy', 'modifybackuppolicystatus', 'deletebackupsnapshot', 'uninstallbackupclient', 'uninstallunibackupagent',
                           'handlesecurityevents', 'handlesimilarsecurityevents', 'createmaliciousfilewhitelistconfig', 'updatemaliciousfilewhitelistconfig',
                           'modifyloginswitchconfig', 'deleteantibruteforcerule', 'deletefileprotectrule', 'modifycontainerdefenseruleswitch', 'setclusterinterceptionconfig',
                           'modifylogmetastatus', 'modifyclearlogstorestorage')
),
-- Only the first call of a principal from a network on a day can be new.
days AS (
    SELECT account, who, event_day, lag(event_day) OVER (PARTITION BY account, who ORDER BY event_day) AS before
    FROM (SELECT DISTINCT account, who, event_day FROM calls WHERE event_action IN ('handlesecurityevents', 'handlesimilarsecurityevents') AND event_time IS NOT NULL)
),
judged AS (
    SELECT
        calls.*,
        NOT coalesce(days.before >= calls.event_day - INTERVAL '30 days', false) AS is_new,
        CASE
            WHEN event_action = 'pauseclient' AND paused THEN 'Switched off the protection of servers'
            WHEN event_action = 'pauseclient' AND NOT resumed THEN 'Switched the protection of servers on or off'
            WHEN event_action = 'adduninstallclientsbyuuids' THEN 'Uninstalled the agent of Security Center'
            WHEN event_action = 'unbindaegis' THEN 'Took servers out of Security Center'
            WHEN event_action = 'modifyweblockunbind' THEN 'Took servers out of web tamper proofing'
            WHEN event_action = 'modifyweblockstatus' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Status'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off web tamper proofing'
            WHEN event_action = 'deleteservicetrail' THEN 'Ended the analysis of the trail by Security Center'
            WHEN event_action IN ('operatesuspiciousoverallconfig', 'operatecommonoverallconfig', 'batchoperatecommonoverallconfig') AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Config'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off a protection for all servers'
            WHEN event_action IN ('deletebackuppolicy', 'deleteunibackuppolicy') OR event_action = 'modifybackuppolicystatus' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Status'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Ended backups that protect against ransomware'
            WHEN event_action = 'deletebackupsnapshot' THEN 'Deleted backups that protect against ransomware'
            WHEN event_action IN ('uninstallbackupclient', 'uninstallunibackupagent') THEN 'Uninstalled the backup agent of Security Center'
            WHEN event_action IN ('handlesecurityevents', 'handlesimilarsecurityevents') AND whitelisted AND NOT coalesce(days.before >= calls.event_day - INTERVAL '30 days', false) THEN 'Marked alarms as false, so that such alarms are no longer raised'
            WHEN event_action IN ('handlesecurityevents', 'handlesimilarsecurityevents') AND ignored AND from_elsewhere AND NOT coalesce(days.before >= calls.event_day - INTERVAL '30 days', false) THEN 'Ignored alarms from an address that is in no corporate range or not known'
            WHEN event_action IN ('createmaliciousfilewhitelistconfig', 'updatemaliciousfilewhitelistconfig') THEN 'Exempted files from the search for malware'
            WHEN event_action = 'modifyloginswitchconfig' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Status'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off alarms about sign-ins to servers'
            WHEN event_action = 'deleteantibruteforcerule' THEN 'Deleted a rule against guessed passwords'
            WHEN event_action = 'deletefileprotectrule' THEN 'Deleted a rule that protects files'
            WHEN event_action = 'modifycontainerdefenseruleswitch' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'RuleSwitch'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) OR event_action = 'setclusterinterceptionconfig' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'SwitchOn'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off the defence of containers'
            WHEN event_action = 'modifylogmetastatus' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Status'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off logs of Security Center'
            WHEN event_action = 'modifyclearlogstorestorage' THEN 'Deleted the stored logs of Security Center'
        END AS weakened
    FROM calls
    LEFT JOIN days ON days.account = calls.account AND days.who = calls.who AND days.event_day = calls.event_day
)
SELECT
    judged.*,
    CASE WHEN event_action = 'pauseclient' AND NOT paused THEN 'undetermined' END AS variant,
    CASE
        WHEN event_action = 'pauseclient' AND NOT paused THEN 'low'
        WHEN event_action IN ('handlesecurityevents', 'handlesimilarsecurityevents') THEN 'low'
        WHEN event_action IN ('createmaliciousfilewhitelistconfig', 'updatemaliciousfilewhitelistconfig', 'modifyloginswitchconfig', 'deleteantibruteforcerule', 'deletefileprotectrule',
                              'modifycontainerdefenseruleswitch', 'setclusterinterceptionconfig', 'modifylogmetastatus') THEN 'medium'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        weakened,
        'It concerns ' || nullif(target, ''),
        'The protection is ' || coalesce(param(request_parameters, request_parameter_json, 'Type'), array_to_string(entries(request_parameters, request_parameter_json, 'TypeList'), ', ')),
        'The alarms are ' || array_to_string(entries(request_parameters, request_parameter_json, 'SecurityEventIds'), ', '),
        CASE WHEN whitelisted AND is_new THEN 'The principal dealt with no alarm from this network in the 30 days before' END) AS why,
    nullif(concat_ws('; ',
        CASE WHEN event_action = 'pauseclient' AND NOT paused THEN 'The event does not say whether the protection is on or off now' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM judged
WHERE weakened IS NOT NULL
