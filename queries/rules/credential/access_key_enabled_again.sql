-- Keys that were disabled or deleted and work again.
WITH changed AS (
    SELECT
        events.*,
        lower(param(request_parameters, request_parameter_json, 'Status')) AS new_status,
        param(request_parameters, request_parameter_json, 'UserAccessKeyId') AS key_id
    FROM events
    WHERE event_action IN ('restoreaccesskeyfromrecyclebin', 'updateaccesskey')
      AND lower(service_name) IN ('ram', 'ims')
      AND outcome = 'success'
)
SELECT
    changed.*,
    CASE WHEN event_action = 'updateaccesskey' AND new_status IS NULL THEN 'low' ELSE 'medium' END AS severity,
    CASE WHEN event_action = 'updateaccesskey' AND new_status IS NULL THEN 'undetermined' END AS variant,
    concat_ws('; ',
        CASE
            WHEN event_action = 'restoreaccesskeyfromrecyclebin' THEN coalesce('Restored AccessKey ' || mask_key(key_id) || ' from the recycle bin', 'Restored an AccessKey from the recycle bin')
            WHEN new_status IS NULL THEN coalesce('Changed the state of AccessKey ' || mask_key(key_id), 'Changed the state of an AccessKey')
            ELSE coalesce('Enabled AccessKey ' || mask_key(key_id) || ' again', 'Enabled an AccessKey again')
        END,
        'The caller was ' || user_name,
        'The call came from ' || source_ip_address) AS why,
    concat_ws('; ',
        CASE WHEN event_action = 'updateaccesskey' AND new_status IS NULL THEN 'Whether the key was enabled or disabled' END,
        CASE WHEN key_id IS NULL THEN 'Which key it is' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM changed
WHERE event_action = 'restoreaccesskeyfromrecyclebin' OR coalesce(new_status, 'active') = 'active'
