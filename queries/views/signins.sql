-- Sign-ins to the console and through CloudSSO.
SELECT * FROM events
WHERE event_action LIKE 'consolesignin%' OR (event_action = 'login' AND lower(service_name) = 'cloudsso')
