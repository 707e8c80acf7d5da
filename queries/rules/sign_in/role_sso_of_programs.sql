-- A program took a role through an identity provider (OIDC) from a public address outside of the company's ranges. People,
-- who take roles through SAML, are the matter of AT-LOGIN-002. Private addresses belong to the VPCs in which containers
-- take their roles. A call without an address is undetermined.
SELECT
    events.*,
    coalesce(param(request_parameters, request_parameter_json, 'RoleArn'), '') AS role,
    CASE WHEN matches(split_part(param(request_parameters, request_parameter_json, 'RoleArn'), '/', 2), 'automation_roles')
         THEN 'automation_roles: a role of programs' END AS expected_because,
    concat_ws('; ',
        coalesce('A program took the role ' || param(request_parameters, request_parameter_json, 'RoleArn') || ' through an identity provider', 'A program took a role through an identity provider'),
        'The identity provider is ' || param(request_parameters, request_parameter_json, 'OIDCProviderArn'),
        CASE WHEN NOT ip_in(source_ip, 'corporate_cidrs', event_time) THEN 'The call came from ' || client_ip || ', which is in no corporate range'
             WHEN source_class = 'ip' THEN 'The call came from ' || client_ip || ', and the corporate ranges list no IPv6'
             WHEN source_class = 'missing' THEN 'The event names no source address'
             ELSE 'The source address ' || source_ip_address || ' is no IP address' END) AS why,
    CASE WHEN ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL THEN 'undetermined' END AS variant,
    CASE WHEN ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL THEN 'Whether the address is inside the corporate ranges' END AS unknowns
FROM events
WHERE event_action = 'assumerolewithoidc'
  AND lower(service_name) = 'sts'
  AND outcome = 'success'
  AND (source_class IN ('garbage', 'missing') OR source_class = 'ip' AND NOT coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false)
    AND NOT (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '11.0.0.0/8') OR ip_in_cidr(source_ip, '100.64.0.0/10') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '127.0.0.0/8') OR ip_in_cidr(source_ip, 'fc00::/7') OR ip_in_cidr(source_ip, 'fe80::/10')))
