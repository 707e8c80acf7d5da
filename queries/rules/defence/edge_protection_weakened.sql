-- Web application firewall or DDoS protection was paused, removed from a resource or weakened, also at the edge (DCDN, ESA).
WITH calls AS (
    SELECT
        events.*,
        CASE
            WHEN event_action = 'modifypauseprotectionstatus' AND coalesce(any_is(values_at(request_parameters, request_parameter_json, 'PauseStatus'), 're', '(?i)^ *(1|true|on) *$'), false) THEN 'Paused the protection of the web application firewall'
            WHEN event_action = 'modifyhybridcloudclusterbypassstatus' AND coalesce(any_is(values_at(request_parameters, request_parameter_json, 'RuleStatus'), 're', '(?i)^ *(1|true|on) *$'), false) THEN 'Let the traffic bypass the web application firewall'
            WHEN event_action = 'modifydefensetemplatestatus' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'TemplateStatus'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off a template of protection'
            WHEN event_action = 'modifydefenserulestatus' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'RuleStatus'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off a rule of protection'
            WHEN event_action = 'modifyprotectionmodulestatus' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'ModuleStatus'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off a module of protection'
            WHEN event_action IN ('deletecloudresource', 'deletedomain', 'deletedefenseresource') THEN 'Took a site or a resource out of the web application firewall'
            WHEN event_action IN ('deletedefenserule', 'deletedefensetemplate', 'deleteprotectionmodulerule', 'deletedcdnwafpolicy', 'deletewafruleset') THEN 'Deleted rules of protection'
            WHEN event_action = 'createdefenserule' AND coalesce(any_is(values_at(request_parameters, request_parameter_json, 'DefenseScene'), 'contains', 'whitelist'), false) THEN 'Made a rule that exempts requests from protection'
            WHEN event_action IN ('modifyuserwaflogstatus', 'modifyresourcelogstatus') AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'LogStatus'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Status'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) OR event_action = 'disablewebaccesslogconfig' THEN 'Switched off the log of the protection'
            WHEN event_action IN ('disablewebcc', 'disablewebccrule') OR event_action IN ('modifywebccglobalswitch', 'modifyportautoccstatus') AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'CcGlobalSwitch'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Switch'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off the protection against floods of requests'
            WHEN event_action IN ('disablescenedefensepolicy', 'deletescenedefensepolicy', 'deletepolicy') THEN 'Switched off or deleted a policy against DDoS'
            WHEN event_action IN ('deletewebrule', 'deletedomainresource', 'deleteport', 'deletenetworkrule', 'deleteip') THEN 'Took a site, a port or an address out of the protection against DDoS'
            WHEN event_action IN ('releaseinstance', 'releaseddosorigininstance') THEN 'Gave up an instance of the protection'
            WHEN event_action = 'batchsetdcdnwafdomainconfigs' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'DefenseStatus'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) OR event_action = 'modifydcdnwafpolicy' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'PolicyStatus'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false))
              OR event_action = 'sethttpddosattackrulestatus' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Status'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off protection at the edge'
        END AS weakened,
        coalesce(param(request_parameters, request_parameter_json, 'Domain'), param(request_parameters, request_parameter_json, 'CloudResourceId'), param(request_parameters, request_parameter_json, 'ResourceInstanceId'), param(request_parameters, request_parameter_json, 'Resource'), array_to_string(entries(request_parameters, request_parameter_json, 'DomainNames'), ', '), array_to_string(entries(request_parameters, request_parameter_json, 'IpList'), ', '), param(request_parameters, request_parameter_json, 'TemplateId'), param(request_parameters, request_parameter_json, 'RuleId'), param(request_parameters, request_parameter_json, 'PolicyId'), param(request_parameters, request_parameter_json, 'SiteId'), param(request_parameters, request_parameter_json, 'InstanceId')) AS target
    FROM events
    WHERE outcome = 'success'
      AND (lower(service_name) IN ('waf', 'waf-openapi', 'waf_openapi')
           AND event_action IN ('modifypauseprotectionstatus', 'modifydefensetemplatestatus', 'modifydefenserulestatus', 'modifyprotectionmodulestatus', 'modifyhybridcloudclusterbypassstatus',
                                'deletecloudresource', 'deletedomain', 'deletedefenseresource', 'deletedefenserule', 'deletedefensetemplate', 'deleteprotectionmodulerule', 'releaseinstance',
                                'createdefenserule', 'modifyuserwaflogstatus', 'modifyresourcelogstatus')
        OR lower(service_name) IN ('ddoscoo', 'ddosbgp')
           AND event_action IN ('disablewebcc', 'disablewebccrule', 'disablescenedefensepolicy', 'deletescenedefensepolicy', 'deletewebrule', 'deletedomainresource', 'deleteport', 'deletenetworkrule',
                                'modifywebccglobalswitch', 'modifyportautoccstatus', 'disablewebaccesslogconfig', 'deleteip', 'deletepolicy', 'releaseinstance', 'releaseddosorigininstance')
        OR lower(service_name) IN ('dcdn', 'esa')
           AND event_action IN ('batchsetdcdnwafdomainconfigs', 'deletedcdnwafpolicy', 'modifydcdnwafpolicy', 'deletewafruleset', 'sethttpddosattackrulestatus'))
)
SELECT
    calls.*,
    CASE
        WHEN event_action = 'createdefenserule' THEN 'low'
        WHEN weakened IN ('Took a site or a resource out of the web application firewall', 'Deleted rules of protection', 'Switched off the log of the protection',
                          'Took a site, a port or an address out of the protection against DDoS', 'Switched off protection at the edge') THEN 'medium'
        ELSE 'high'
    END AS severity,
    concat_ws('; ', weakened, 'It concerns ' || target) AS why,
    CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END AS unknowns
FROM calls
WHERE weakened IS NOT NULL
