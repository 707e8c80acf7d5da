-- A higher quota was asked for, of a service that computes or sends text messages: whoever steals computing power needs room for it.
SELECT
    events.*,
    concat_ws('; ',
        'Asked for ' || coalesce(param(request_parameters, request_parameter_json, 'DesireValue'), '?') || ' of quota ' || coalesce(param(request_parameters, request_parameter_json, 'QuotaActionCode'), '?') || ' of ' || coalesce(param(request_parameters, request_parameter_json, 'ProductCode'), '?'),
        'For accounts ' || array_to_string(values_at(request_parameters, request_parameter_json, 'AliyunUids'), ', ')) AS why,
    concat_ws('; ',
        CASE WHEN param(request_parameters, request_parameter_json, 'ProductCode') IS NULL THEN 'Which service the quota is of' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM events
WHERE event_action IN ('createquotaapplication', 'createquotaapplicationsfortemplate')
  AND lower(service_name) = 'quotas'
  AND outcome = 'success'
  AND any_is(values_at(request_parameters, request_parameter_json, 'ProductCode'), 're', '(?i)^\s*(ecs|eci|ess|acs|cs|eas|pai|dsw|dlc|fc|ehpc|swas|dysms)') IS NOT FALSE
