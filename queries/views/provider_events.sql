-- What the vendor's own people and systems did to resources of the account (Inner-ActionTrail): support on a ticket, maintenance, penalties.
SELECT event_time, account_id, acs_region, service_name, event_name, event_type,
       param(additional_event_data, 'EventDescription') AS reason,
       param(additional_event_data, 'EventMethod') AS method,
       param(additional_event_data, 'EventLevel') AS level,
       -- Empty where a system of the vendor acted by itself.
       nullif(param(additional_event_data, 'EmployeeID'), '') AS employee_id,
       resource_type, resource_name, additional_event_data, event_id, event_key, source, source_object, source_position, day
FROM events WHERE event_category = 'Provider'
