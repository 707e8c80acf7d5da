-- An instance created from an image that the company has not approved.
SELECT
    events.*,
    concat_ws('; ', 'Called ' || event_name || ' of ' || service_name, 'The image is ' || param(request_parameters, request_parameter_json, 'ImageId')) AS why,
    CASE WHEN param(request_parameters, request_parameter_json, 'ImageId') IS NULL THEN 'The image is unknown' END AS unknowns
FROM events
WHERE (lower(service_name) = 'ecs' AND event_action IN ('runinstances', 'createinstance', 'replacesystemdisk') OR lower(service_name) = 'rds' AND event_action IN ('runrcinstances', 'replacercinstancesystemdisk'))
  AND outcome = 'success'
  AND NOT coalesce(matches(param(request_parameters, request_parameter_json, 'ImageId'), 'approved_images'), false)
  -- A launch template can name the image instead of the event.
  AND (param(request_parameters, request_parameter_json, 'ImageId') IS NOT NULL OR coalesce(param(request_parameters, request_parameter_json, 'LaunchTemplateId'), param(request_parameters, request_parameter_json, 'LaunchTemplateName')) IS NULL)
