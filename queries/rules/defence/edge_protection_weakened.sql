-- Web application firewall or DDoS protection was removed from a resource.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'of ' || coalesce(param(request_parameters, 'Domain'), param(request_parameters, 'DefenseScene'), param(request_parameters, 'InstanceId')),
        'parameters ' || left(request_parameters, 200),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE lower(service_name) IN ('waf', 'waf-openapi', 'waf_openapi', 'ddoscoo', 'ddosbgp')
  AND outcome = 'success'
  AND (event_action IN ('deletedefenserule', 'deletedefensetemplate', 'deletedomain', 'deleteprotectionmodulerule', 'releaseinstance',
                        'disablewebcc', 'disablewebccrule', 'disablescenedefensepolicy', 'deletescenedefensepolicy', 'deletewebrule', 'deleteport')
    OR event_action = 'modifydefenserulestatus' AND param(request_parameters, 'RuleStatus') = '0'
    OR event_action = 'modifyprotectionmodulestatus' AND param(request_parameters, 'ModuleStatus') = '0')
