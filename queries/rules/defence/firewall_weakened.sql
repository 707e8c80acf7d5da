-- The cloud firewall was switched off or weakened.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'parameters ' || left(request_parameters, 200),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE lower(service_name) IN ('cloudfw', 'cloudfirewall')
  AND outcome = 'success'
  AND (event_action IN ('putdisablefwswitch', 'putdisableallfwswitch', 'deletecontrolpolicy', 'deletevpcfirewallcontrolpolicy')
    OR event_action = 'setautoprotectnewassets' AND lower(param(request_parameters, 'AutoProtect')) = 'false'
    OR event_action = 'modifyslsdispatchstatus' AND lower(param(request_parameters, 'EnableStatus')) = 'false'
    OR event_action = 'modifydefaultipsconfig'
       AND (param(request_parameters, 'RunMode') = '0' OR param(request_parameters, 'BasicRules') = '0' OR param(request_parameters, 'AiRules') = '0'
         OR param(request_parameters, 'CtiRules') = '0' OR param(request_parameters, 'PatchRules') = '0'))
