-- Changes of permissions, attempts included: users, groups, roles, policies, keys, MFA devices and assignments.
SELECT * FROM events
WHERE lower(service_name) IN ('ram', 'ims', 'resourcemanager', 'cloudsso')
  AND coalesce(lower(event_rw), '') <> 'read'
  AND (event_action LIKE '%policy%' OR event_action LIKE '%role%' OR event_action LIKE '%group%' OR event_action LIKE '%user%'
       OR event_action LIKE '%accesskey%' OR event_action LIKE '%loginprofile%' OR event_action LIKE '%mfa%' OR event_action LIKE '%accessconfiguration%'
       OR event_action LIKE '%accessassignment%')
