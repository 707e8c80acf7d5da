--! question = { en = "What changed on this resource?", zh = "这个资源发生了哪些变更？" }
--! when = "Something behaves differently: an instance, a bucket, a security group, a policy, a database."
--! next = ["principal_timeline: what else the one who changed it did", "who_stopped: for an instance that is down"]
--! [parameters.resource]
--! meaning = "Id or name of the resource."
--! [parameters.since]
--! kind = "time"
--! default = "-30d"
--! meaning = "From when on."
--! [parameters.until]
--! kind = "time"
--! default = "now"
--! meaning = "Until when, this moment not included."
--! [parameters.reads]
--! default = "no"
--! meaning = "`yes`: calls that only read, too."
SELECT event_time, account_id, acs_region, service_name, event_name, outcome, error_code, coalesce(user_name, principal_id) AS operator, user_type,
       source_ip_address, mask_key(access_key_id) AS access_key_id, request_parameters, event_id
FROM events
-- The resource is among the event's resources or instances, or is a value of its request parameters.
WHERE (array_has(string_to_array(replace(resource_name, ';', ','), ','), $resource) OR array_has(instance_ids, $resource)
       OR strpos(request_parameters, '"' || $resource || '"') > 0)
  AND event_time >= $since AND event_time < $until
  AND ($reads = 'yes' OR coalesce(lower(event_rw), '') <> 'read')
ORDER BY event_time, event_id
