-- Events that stop or release an ECS instance, by a principal or by the platform.
SELECT * FROM events
WHERE lower(service_name) = 'ecs'
  AND event_action IN ('stopinstance', 'stopinstances', 'rebootinstance', 'rebootinstances', 'deleteinstance', 'deleteinstances',
                       'release', 'modifyinstanceautoreleasetime')
