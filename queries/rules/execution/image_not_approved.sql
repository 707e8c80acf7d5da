-- An instance created from an image that the company has not approved.
SELECT
    events.*,
    concat_ws('; ', 'event = ' || event_name, 'image ' || param(request_parameters, request_parameter_json, 'ImageId'), 'by ' || coalesce(user_name, principal_id)) AS why,
    CASE WHEN param(request_parameters, request_parameter_json, 'ImageId') IS NULL THEN 'image' END AS unknowns
FROM events
WHERE event_action IN ('runinstances', 'createinstance', 'replacesystemdisk')
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
  AND NOT coalesce(matches(param(request_parameters, request_parameter_json, 'ImageId'), 'approved_images'), false)
  -- A launch template can name the image instead of the event.
  AND (param(request_parameters, request_parameter_json, 'ImageId') IS NOT NULL OR coalesce(param(request_parameters, request_parameter_json, 'LaunchTemplateId'), param(request_parameters, request_parameter_json, 'LaunchTemplateName')) IS NULL)
