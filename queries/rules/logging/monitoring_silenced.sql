-- Alarms, event rules or compliance rules were removed or silenced. What watches for security counts at once. Alarms on metrics
-- come and go with the resources they watch: they count where the principal did not touch such alarms from the same network in the
-- thirty days before.
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
        -- All names count: whoever calls can add a harmless one that the operation does not have.
        array_to_string(array_concat(coalesce(entries(request_parameters, request_parameter_json, 'RuleName'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'RuleNames'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'ConfigRuleIds'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'Id'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'RuleId'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'AlertIds'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'AlertId'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'EventBusName'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'ContactName'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'ContactGroupName'), make_array()), coalesce(entries(request_parameters, request_parameter_json, 'InstanceId'), make_array())), ', ') AS target,
        lower(service_name) IN ('cms', 'arms') AND event_action NOT IN ('deleteeventrules', 'disableeventrules', 'deleteeventruletargets') AS on_metrics
    FROM events
    WHERE outcome = 'success'
      AND (event_action IN ('deletemetricrules', 'disablemetricrules', 'deletemetricruletargets', 'deleteeventrules', 'disableeventrules', 'deleteeventruletargets', 'createmetricruleblacklist',
                            'deletelogmonitor', 'deletecontact', 'deletecontactgroup', 'uninstallmonitoringagent', 'createmonitorgroupnotifypolicy')
           AND lower(service_name) = 'cms'
        OR event_action IN ('deletealertrule', 'deletealertrules', 'deleteprometheusalertrule', 'stopalert', 'deletenotificationpolicy', 'createorupdatesilencepolicy')
           AND lower(service_name) = 'arms'
        OR event_action IN ('disablerule', 'deleterule', 'deletetargets', 'deleteeventbus', 'pauseeventstreaming', 'deleteeventstreaming', 'updaterule')
           AND lower(service_name) = 'eventbridge'
        OR event_action IN ('stopconfigrules', 'deactiveconfigrules', 'deleteconfigrules', 'deactiveaggregateconfigrules', 'deleteaggregateconfigrules', 'stopconfigurationrecorder',
                            'deleteconfigdeliverychannel', 'deleteaggregateconfigdeliverychannel')
           AND lower(service_name) = 'config'
        OR event_action IN ('deletecustomizerule', 'deletebindaccount', 'deletedatasource', 'deletedatasourcelog', 'deleteautomateresponseconfig')
           AND lower(service_name) = 'cloud-siem')
),
-- Only the first call of a principal from a network on a day can be new.
days AS (
    SELECT account, who, event_day, lag(event_day) OVER (PARTITION BY account, who ORDER BY event_day) AS before
    FROM (SELECT DISTINCT account, who, event_day FROM calls WHERE on_metrics AND event_time IS NOT NULL)
),
judged AS (
    SELECT
        calls.*,
        NOT coalesce(days.before >= calls.event_day - INTERVAL '30 days', false) AS is_new,
        coalesce(NOT ip_in(source_ip, 'corporate_cidrs', event_time), false) AS from_outside,
        coalesce(regexp_like(lower(target), 'trail|secur|audit|(^|[^a-z])(soc|siem)([^a-z]|$)'), false) AS on_security
    FROM calls
    LEFT JOIN days ON days.account = calls.account AND days.who = calls.who AND days.event_day = calls.event_day
)
SELECT
    judged.*,
    -- Sessions of a pipeline or of a workload are many; what is usual for its role is one finding.
    CASE WHEN on_metrics AND NOT on_security THEN who ELSE principal_id END AS grouped_by,
    CASE
        WHEN on_security THEN 'high'
        WHEN on_metrics AND NOT from_outside THEN 'low'
        ELSE 'medium'
    END AS severity,
    concat_ws('; ',
        CASE
            WHEN lower(service_name) = 'eventbridge' THEN 'Switched off or removed what passes events on'
            WHEN lower(service_name) = 'config' THEN 'Switched off or removed compliance rules or the recording of resources'
            WHEN lower(service_name) = 'cloud-siem' THEN 'Removed a source or a rule of the threat analysis'
            WHEN event_action IN ('deletecontact', 'deletecontactgroup') THEN 'Removed people who are told of alarms'
            WHEN event_action = 'uninstallmonitoringagent' THEN 'Uninstalled the monitoring agent'
            WHEN on_metrics THEN 'Switched off, silenced or removed alarms'
            ELSE 'Switched off or removed rules that report system events'
        END,
        'The call was ' || event_name,
        'It concerns ' || nullif(target, ''),
        CASE WHEN on_security THEN 'By its name it serves security' END,
        CASE WHEN on_metrics AND is_new THEN 'The principal did not change such alarms from this network in the 30 days before' END,
        CASE WHEN from_outside THEN 'The address ' || source_ip_address || ' is in no corporate range' END) AS why,
    CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END AS unknowns
FROM judged
WHERE (NOT on_metrics OR on_security OR is_new)
  AND (event_action <> 'createmonitorgroupnotifypolicy' OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'PolicyType'), 'contains', 'pause'), false))
  AND (event_action <> 'updaterule' OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Status'), 'startswith', 'disable'), false))
