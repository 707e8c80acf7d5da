-- A long-term key was created. Critical for another user or for root.
WITH made AS (
    SELECT
        events.*,
        -- Each service has a parameter of its own for the user. One of the other service means nothing.
        CASE WHEN lower(service_name) = 'ims' THEN param(request_parameters, request_parameter_json, 'UserPrincipalName')
             ELSE param(request_parameters, request_parameter_json, 'UserName') END AS key_user
    FROM events
    WHERE event_action = 'createaccesskey'
      AND lower(service_name) IN ('ram', 'ims')
      AND outcome = 'success'
)
SELECT
    made.*,
    CASE
        WHEN lower(trim(user_type)) = 'root-account' THEN 'critical'
        WHEN split_part(coalesce(key_user, user_name), '@', 1) <> user_name THEN 'critical'
        ELSE 'high'
    END AS severity,
    concat_ws('; ',
        CASE
            WHEN key_user IS NOT NULL THEN 'Created an AccessKey for user ' || key_user
            WHEN lower(trim(user_type)) = 'root-account' THEN 'The root account created an AccessKey for itself'
            ELSE coalesce('User ' || user_name || ' created an AccessKey for itself', 'Somebody created an AccessKey')
        END,
        CASE WHEN split_part(key_user, '@', 1) <> user_name THEN 'The caller was ' || user_name END,
        'The call came from ' || source_ip_address) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM made
