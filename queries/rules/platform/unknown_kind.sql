-- Events that the rules do not know are reported, not ignored. Known are the types that the vendor documents, those of
-- MaxCompute among them, and the kinds of identities.
SELECT
    events.*,
    concat_ws('; ',
        CASE WHEN lower(trim(event_type)) NOT IN ('apicall', 'consoleoperation', 'consolecall', 'consolesignin', 'consolesignout', 'passwordreset', 'aliyunserviceevent', 'actiontrailinsight', 'jobevent', 'tunnelevent', 'tableevent', 'adminevent', 'resourceevent', 'functionevent', 'privilegeevent', 'roleevent', 'userevent', 'schemaevent', 'customer_initiated_support', 'aliyun_initiated_service', 'aliyun_initiated_penalty') THEN 'No rule knows the event type ' || event_type END,
        CASE WHEN lower(trim(user_type)) NOT IN ('root-account', 'ram-user', 'assumed-role', 'system', 'saml-user', 'oidc-user', 'cloudsso-user') AND lower(trim(user_type)) NOT LIKE 'alibaba-cloud%' THEN 'No rule knows the identity type ' || user_type END,
        'The event was ' || event_name || ' of ' || service_name) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE lower(trim(event_type)) NOT IN ('apicall', 'consoleoperation', 'consolecall', 'consolesignin', 'consolesignout', 'passwordreset', 'aliyunserviceevent', 'actiontrailinsight', 'jobevent', 'tunnelevent', 'tableevent', 'adminevent', 'resourceevent', 'functionevent', 'privilegeevent', 'roleevent', 'userevent', 'schemaevent', 'customer_initiated_support', 'aliyun_initiated_service', 'aliyun_initiated_penalty')
   OR lower(trim(user_type)) NOT IN ('root-account', 'ram-user', 'assumed-role', 'system', 'saml-user', 'oidc-user', 'cloudsso-user') AND lower(trim(user_type)) NOT LIKE 'alibaba-cloud%'
