-- The cloud firewall was switched off or weakened: a switch, a policy, intrusion prevention or its log. A policy that accepts
-- counts where it lets at least half of the internet reach all ports or a port of remote access or of a database.
WITH calls AS (
    SELECT
        events.*,
        event_action IN ('modifyvpcfirewallswitchstatus', 'modifyvpcfirewallcenswitchstatus', 'switchsecurityproxy', 'modifyfirewallv2routepolicyswitch', 'updatepostpayuserinternetstatus', 'updatepostpayusernatstatus', 'updatepostpayuservpcstatus') AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'FirewallSwitch'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Switch'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'TrFirewallRoutePolicySwitchStatus'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Operate'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) AS closed,
        event_action IN ('addcontrolpolicy', 'modifycontrolpolicy', 'createvpcfirewallcontrolpolicy', 'modifyvpcfirewallcontrolpolicy', 'createnatfirewallcontrolpolicy', 'modifynatfirewallcontrolpolicy') AS on_policy,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'AclAction'), 're', '(?i)^ *(accept|log) *$'), false) AS accepts,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'AclAction'), 'equals', 'drop'), false) AND coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Release'), 'equals', 'false'), false) AS drop_released,
        coalesce(internet_share(values_at(request_parameters, request_parameter_json, 'Source')) >= 0.5, false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Source'), 'equals', 'any'), false) AS from_internet,
        coalesce(internet_share(values_at(request_parameters, request_parameter_json, 'Destination')) >= 0.5, false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Destination'), 'equals', 'any'), false) AS to_anywhere,
        -- A firewall between networks has no direction.
        event_action NOT IN ('createvpcfirewallcontrolpolicy', 'modifyvpcfirewallcontrolpolicy') AND coalesce(any_is(values_at(request_parameters, request_parameter_json, 'Direction'), 'equals', 'out') AND NOT any_is(values_at(request_parameters, request_parameter_json, 'Direction'), 'equals', 'in'), false) AS outward,
        param(request_parameters, request_parameter_json, 'DestPort') AS ports,
        TRY_CAST(split_part(param(request_parameters, request_parameter_json, 'DestPort'), '/', 1) AS BIGINT) AS first_port,
        coalesce(TRY_CAST(nullif(split_part(param(request_parameters, request_parameter_json, 'DestPort'), '/', 2), '') AS BIGINT), TRY_CAST(split_part(param(request_parameters, request_parameter_json, 'DestPort'), '/', 1) AS BIGINT)) AS last_port,
        -- `DestPortType` says which of `DestPort` and `DestPortGroup` takes effect; the other is superfluous.
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'DestPortType'), 'equals', 'group'), false)
            OR param(request_parameters, request_parameter_json, 'DestPortGroup') IS NOT NULL AND NOT coalesce(any_is(values_at(request_parameters, request_parameter_json, 'DestPortType'), 'equals', 'port'), false) AS ports_unknown,
        event_action IN ('modifydefaultipsconfig', 'modifyvpcfirewalldefaultipsconfig') AS on_prevention,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'RunMode'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false) AS only_watches,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'BasicRules'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'AiRules'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'CtiRules'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'PatchRules'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'EnableAllPatch'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false) AS rules_off,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'RuleClass'), 'equals', '1'), false) AS class_1,
        coalesce(any_is(values_at(request_parameters, request_parameter_json, 'RuleClass'), 'equals', '2'), false) AS class_2,
        coalesce(param(request_parameters, request_parameter_json, 'VpcFirewallId'), param(request_parameters, request_parameter_json, 'FirewallId'), param(request_parameters, request_parameter_json, 'ProxyId'), param(request_parameters, request_parameter_json, 'NatGatewayId'), param(request_parameters, request_parameter_json, 'InstanceId'), array_to_string(coalesce(entries(request_parameters, request_parameter_json, 'IpaddrList'), entries(request_parameters, request_parameter_json, 'VpcFirewallIdList'), entries(request_parameters, request_parameter_json, 'IpList'), entries(request_parameters, request_parameter_json, 'MemberUids')), ', ')) AS target,
        coalesce(param(request_parameters, request_parameter_json, 'AclUuid'), array_to_string(entries(request_parameters, request_parameter_json, 'AclUuidList'), ', ')) AS policy
    FROM events
    WHERE lower(service_name) IN ('cloudfw', 'cloudfirewall')
      AND outcome = 'success'
      AND event_action IN ('putdisablefwswitch', 'putdisableallfwswitch', 'deletesecurityproxy', 'deletetrfirewallv2', 'deletevpcfirewallconfigure', 'deletevpcfirewallcenconfigure', 'releasepostinstance',
                           'deletecontrolpolicy', 'deletevpcfirewallcontrolpolicy', 'batchdeletevpcfirewallcontrolpolicy', 'deletenatfirewallcontrolpolicy', 'deletenatfirewallcontrolpolicybatch', 'deletednsfirewallpolicy', 'deletefirewallv2routepolicies',
                           'modifyvpcfirewallswitchstatus', 'modifyvpcfirewallcenswitchstatus', 'switchsecurityproxy', 'modifyfirewallv2routepolicyswitch', 'updatepostpayuserinternetstatus', 'updatepostpayusernatstatus', 'updatepostpayuservpcstatus',
                           'addcontrolpolicy', 'modifycontrolpolicy', 'createvpcfirewallcontrolpolicy', 'modifyvpcfirewallcontrolpolicy', 'createnatfirewallcontrolpolicy', 'modifynatfirewallcontrolpolicy', 'addaddressbook', 'modifyaddressbook',
                           'modifydefaultipsconfig', 'modifyvpcfirewalldefaultipsconfig', 'modifyipsrules', 'modifyuseripswhitelist', 'modifyvpcfirewallipswhitelist',
                           'setautoprotectnewassets', 'modifyslsdispatchstatus', 'modifypolicyadvancedconfig', 'disablesdlprotectedasset', 'deleteinstancemembers')
),
judged AS (
    SELECT
        *,
        CASE
            WHEN event_action = 'putdisableallfwswitch' THEN 'Switched off the firewall for all public addresses'
            WHEN event_action = 'putdisablefwswitch' THEN 'Switched off the firewall for public addresses'
            WHEN event_action IN ('putdisablefwswitch', 'putdisableallfwswitch', 'deletesecurityproxy', 'deletetrfirewallv2', 'deletevpcfirewallconfigure', 'deletevpcfirewallcenconfigure', 'releasepostinstance') THEN 'Removed a firewall'
            WHEN event_action IN ('deletecontrolpolicy', 'deletevpcfirewallcontrolpolicy', 'batchdeletevpcfirewallcontrolpolicy', 'deletenatfirewallcontrolpolicy', 'deletenatfirewallcontrolpolicybatch', 'deletednsfirewallpolicy', 'deletefirewallv2routepolicies') THEN 'Deleted a policy of the firewall'
            WHEN closed THEN 'Switched off a firewall between networks, of a NAT gateway or of the internet border'
            WHEN on_policy AND accepts AND from_internet
                 AND (first_port IS NULL AND NOT ports_unknown OR first_port = 0 OR first_port <= 22 AND last_port >= 22 OR first_port <= 3389 AND last_port >= 3389 OR first_port <= 3306 AND last_port >= 3306
                   OR first_port <= 5432 AND last_port >= 5432 OR first_port <= 1433 AND last_port >= 1433 OR first_port <= 6379 AND last_port >= 6379
                   OR first_port <= 9200 AND last_port >= 9200 OR first_port <= 27017 AND last_port >= 27017)
                 AND (NOT outward OR to_anywhere AND coalesce(first_port, 0) = 0)
                THEN 'Made a policy that lets any address through'
            WHEN on_policy AND accepts AND from_internet AND ports_unknown AND NOT outward THEN 'Made a policy that lets any address through to a group of ports'
            WHEN event_action IN ('addaddressbook', 'modifyaddressbook') AND internet_share(string_to_array(replace(param(request_parameters, request_parameter_json, 'AddressList'), ' ', ''), ',')) >= 0.5
                THEN 'Made an address book that holds most of the internet'
            WHEN on_policy AND drop_released THEN 'Switched off a policy that blocked traffic'
            WHEN on_prevention AND only_watches THEN 'Set intrusion prevention to watch only'
            WHEN on_prevention AND rules_off THEN 'Switched off rules of intrusion prevention'
            WHEN on_prevention AND (class_1 OR class_2) THEN 'Set the rules of intrusion prevention to a weaker class'
            WHEN event_action = 'modifyipsrules' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'RuleAction'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off rules of intrusion prevention'
            WHEN event_action IN ('modifyuseripswhitelist', 'modifyvpcfirewallipswhitelist')
                 AND internet_share(string_to_array(replace(param(request_parameters, request_parameter_json, 'ListValue'), ' ', ''), ',')) >= 0.5 THEN 'Exempted any address from intrusion prevention'
            WHEN event_action = 'setautoprotectnewassets' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'AutoProtect'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Ended the automatic protection of new addresses'
            WHEN event_action = 'modifyslsdispatchstatus' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'EnableStatus'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off the log of the firewall'
            WHEN event_action = 'modifypolicyadvancedconfig' AND (coalesce(any_is(values_at(request_parameters, request_parameter_json, 'InternetSwitch'), 're', '(?i)^ *(close|closed|off|false|0|disabled?) *$'), false)) THEN 'Switched off the strict mode of the firewall'
            WHEN event_action = 'disablesdlprotectedasset' THEN 'Ended the protection of addresses against data leaks'
            WHEN event_action = 'deleteinstancemembers' THEN 'Took accounts out of the protection of the firewall'
        END AS weakened
    FROM calls
)
SELECT
    judged.*,
    CASE WHEN weakened = 'Made a policy that lets any address through to a group of ports' THEN 'undetermined' END AS variant,
    CASE
        WHEN weakened = 'Made a policy that lets any address through to a group of ports' THEN 'low'
        WHEN weakened = 'Made an address book that holds most of the internet' THEN 'medium'
        WHEN weakened = 'Set the rules of intrusion prevention to a weaker class' THEN CASE WHEN class_1 THEN 'medium' ELSE 'low' END
        WHEN event_action IN ('deletecontrolpolicy', 'deletevpcfirewallcontrolpolicy', 'batchdeletevpcfirewallcontrolpolicy', 'deletenatfirewallcontrolpolicy', 'deletenatfirewallcontrolpolicybatch', 'deletednsfirewallpolicy', 'deletefirewallv2routepolicies') THEN 'medium'
        WHEN weakened IN ('Switched off a policy that blocked traffic', 'Switched off the strict mode of the firewall', 'Ended the protection of addresses against data leaks') THEN 'medium'
        WHEN event_action = 'modifyipsrules' THEN 'medium'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        weakened,
        'It concerns ' || target,
        'The policy is ' || policy,
        CASE WHEN on_policy AND accepts THEN 'The ports are ' || ports END,
        CASE WHEN on_prevention THEN 'The mode is ' || param(request_parameters, request_parameter_json, 'RunMode') END,
        CASE WHEN on_prevention THEN 'The rule class is ' || param(request_parameters, request_parameter_json, 'RuleClass') END) AS why,
    nullif(concat_ws('; ',
        CASE WHEN on_prevention AND (class_1 OR class_2) THEN 'The vendor''s sources contradict each other about which rule class is the loose one, 1 or 2' END,
        CASE WHEN on_policy AND accepts AND from_internet AND ports_unknown THEN 'The event does not say which ports the group ' || param(request_parameters, request_parameter_json, 'DestPortGroup') || ' has' END,
        CASE WHEN event_action IN ('deletecontrolpolicy', 'deletevpcfirewallcontrolpolicy', 'batchdeletevpcfirewallcontrolpolicy', 'deletenatfirewallcontrolpolicy', 'deletenatfirewallcontrolpolicybatch', 'deletednsfirewallpolicy', 'deletefirewallv2routepolicies') THEN 'The event does not say whether the policy let traffic through or blocked it' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM judged
WHERE weakened IS NOT NULL
