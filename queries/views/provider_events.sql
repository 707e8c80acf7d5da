-- What the vendor's own people and systems did to resources of the account (Inner-ActionTrail): support on a ticket, maintenance, penalties.
--| event_time: Time of the act, UTC.
--| account_id: The account that owns the resource.
--| acs_region: The region of the resource.
--| service_name: The cloud service.
--| event_name: What was done.
--| event_type: `CUSTOMER_INITIATED_SUPPORT`: support that the customer asked for; `ALIYUN_INITIATED_SERVICE`: maintenance; `ALIYUN_INITIATED_PENALTY`: a measure required by law or rules.
--| reason: Why: a ticket, a change or a scan.
--| method: How it was done.
--| level: Its level.
--| employee_id: The employee, encrypted by the vendor; NULL where a system acted by itself.
--| resource_type: Type of the resource.
--| resource_name: Id of the resource.
--| additional_event_data: The other members of the record, as JSON.
--| event_id: Id of the event.
--| event_key: Key of the event in `events`.
--| source: Name of the source that delivered it.
--| source_object: File, object key or topic.
--| source_position: Number of the record within the object.
--| day: Partition of the lake.
SELECT event_time, account_id, acs_region, service_name, event_name, event_type,
       param(additional_event_data, 'EventDescription') AS reason,
       param(additional_event_data, 'EventMethod') AS method,
       param(additional_event_data, 'EventLevel') AS level,
       -- Empty where a system of the vendor acted by itself.
       nullif(param(additional_event_data, 'EmployeeID'), '') AS employee_id,
       resource_type, resource_name, additional_event_data, event_id, event_key, source, source_object, source_position, day
FROM events WHERE event_category = 'Provider'
