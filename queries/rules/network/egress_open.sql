-- A security group that lets its instances out to the whole internet, entry by entry as for what it lets in.
WITH calls AS (
    SELECT event_key, request_parameters, request_parameter_json
    FROM events
    WHERE event_action IN ('authorizesecuritygroupegress', 'modifysecuritygroupegressrule')
      AND lower(service_name) = 'ecs'
      AND outcome = 'success'
),
listed AS (
    SELECT event_key, unnest(array_concat(coalesce(entries(request_parameters, request_parameter_json, 'Permissions'), make_array()), make_array(request_parameters, request_parameter_json))) AS entry
    FROM calls
),
entry_members AS (
    SELECT
        event_key,
        concat_ws(',', array_to_string(values_at(entry, 'DestCidrIp'), ','), array_to_string(values_at(entry, 'Ipv6DestCidrIp'), ',')) AS destinations,
        array_to_string(values_at(entry, 'PortRange'), ',') AS ports,
        coalesce(regexp_like(lower(array_to_string(values_at(entry, 'Policy'), ',')), '^ *drop *(, *drop *)*$'), false) AS drops
    FROM listed
    WHERE entry IS NOT NULL
),
summed AS (
    SELECT
        event_key,
        internet_share(string_agg(destinations, ',')) AS share,
        array_to_string(array_sort(array_agg(DISTINCT CASE WHEN internet_share(destinations) >= 0.01 THEN 'Let instances out to ' || destinations || ' on ports ' || coalesce(ports, '?') END)), '; ') AS allowed
    FROM entry_members
    WHERE NOT drops
    GROUP BY event_key
)
SELECT
    events.*,
    concat_ws('; ', allowed, 'In security group ' || param(request_parameters, request_parameter_json, 'SecurityGroupId')) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM summed
JOIN events ON events.event_key = summed.event_key
WHERE share >= 0.5
