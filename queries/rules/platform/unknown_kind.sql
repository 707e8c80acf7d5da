-- Events that the rules do not know are reported, not ignored.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        CASE WHEN lower(event_type) NOT IN ('apicall', 'consoleoperation', 'consolecall', 'consolesignin', 'consolesignout', 'passwordreset', 'aliyunserviceevent', 'actiontrailinsight', 'jobevent', 'tunnelevent', 'tableevent', 'adminevent', 'resourceevent', 'functionevent', 'privilegeevent', 'roleevent', 'userevent', 'schemaevent') THEN 'event type ' || event_type END,
        CASE WHEN lower(trim(user_type)) NOT IN ('root-account', 'ram-user', 'assumed-role', 'system', 'saml-user', 'oidc-user', 'cloudsso-user') THEN 'identity type ' || user_type END,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE (lower(event_type) NOT IN ('apicall', 'consoleoperation', 'consolecall', 'consolesignin', 'consolesignout', 'passwordreset', 'aliyunserviceevent', 'actiontrailinsight', 'jobevent', 'tunnelevent', 'tableevent', 'adminevent', 'resourceevent', 'functionevent', 'privilegeevent', 'roleevent', 'userevent', 'schemaevent')
    OR lower(trim(user_type)) NOT IN ('root-account', 'ram-user', 'assumed-role', 'system', 'saml-user', 'oidc-user', 'cloudsso-user'))
