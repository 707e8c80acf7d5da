-- Whatever stops or ends an ECS instance, by somebody or by the platform.
SELECT * FROM events
WHERE lower(service_name) = 'ecs'
  AND event_action IN ('stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances', 'deleteinstance', 'deleteinstances',
                       'release', 'modifyinstanceautoreleasetime')
