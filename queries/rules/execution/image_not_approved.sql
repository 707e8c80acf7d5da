-- An instance created from an image that the company has not approved.
SELECT
    events.*,
    concat_ws('; ', 'event = ' || event_name, 'image ' || param(request_parameters, 'ImageId'), 'by ' || coalesce(user_name, principal_id)) AS why,
    CASE WHEN param(request_parameters, 'ImageId') IS NULL THEN 'image' END AS unknowns
FROM events
WHERE event_action IN ('runinstances', 'createinstance', 'replacesystemdisk')
  AND lower(service_name) = 'ecs'
  AND outcome = 'success'
  AND NOT coalesce(matches(param(request_parameters, 'ImageId'), 'approved_images'), false)
  -- A launch template can name the image instead of the event.
  AND (param(request_parameters, 'ImageId') IS NOT NULL OR coalesce(param(request_parameters, 'LaunchTemplateId'), param(request_parameters, 'LaunchTemplateName')) IS NULL)
