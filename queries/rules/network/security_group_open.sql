-- A security group rule that allows everybody. Critical for ports of remote access and databases, and for all ports.
SELECT
    events.*,
    CASE
        WHEN regexp_like(request_parameters, '"(Permissions\.[0-9]+\.)?PortRange"\s*:\s*"(22/22|3389/3389|3306/3306|5432/5432|1433/1433|6379/6379|27017/27017|9200/9200|-1/-1|1/65535)"') THEN 'critical'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        'event = ' || event_name,
        'group ' || param(request_parameters, 'SecurityGroupId'),
        'ports ' || coalesce(param(request_parameters, 'PortRange'), param(request_parameters, 'Permissions.1.PortRange')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('authorizesecuritygroup', 'modifysecuritygrouprule', 'configuresecuritygrouppermissions')
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
  AND regexp_like(request_parameters, '"(Permissions\.[0-9]+\.)?(Ipv6)?SourceCidrIp"\s*:\s*"(0\.0\.0\.0/0|::/0)"')
  AND NOT regexp_like(lower(request_parameters), '"(permissions\.[0-9]+\.)?policy"\s*:\s*"drop"')
