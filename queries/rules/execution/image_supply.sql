-- The registry of images was opened, its password or webhooks changed, a repository made public, or a login token fetched from outside.
-- Every build fetches login tokens, so that those from the office count only for root. Addresses of private networks are the cloud's or the company's own.
WITH calls AS (
    SELECT
        events.*,
        coalesce(role_name, principal_id, user_name, '') AS who,
        coalesce(lower(trim(user_type)) = 'root-account', false) AS by_root,
        coalesce(source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time), false) AS from_outside,
        event_action = 'getauthorizationtoken' AS fetches_token,
        coalesce(param(request_parameters, request_parameter_json, 'InstanceId'), '-') AS registry,
        CASE WHEN event_action = 'createinstanceendpointaclpolicy' THEN param(request_parameters, request_parameter_json, 'Entry') END AS range
    FROM events
    WHERE outcome = 'success'
      AND lower(service_name) = 'cr'
      AND (event_action IN ('createinstanceendpointaclpolicy', 'resetloginpassword', 'createrepotrigger', 'updaterepotrigger')
        OR event_action = 'updateinstanceendpointstatus' AND lower(param(request_parameters, request_parameter_json, 'Enable')) IN ('true', '1')
          AND coalesce(lower(param(request_parameters, request_parameter_json, 'EndpointType')), 'internet') = 'internet'
        OR event_action IN ('createrepository', 'updaterepository') AND lower(param(request_parameters, request_parameter_json, 'RepoType')) = 'public'
        OR event_action = 'getauthorizationtoken' AND (lower(trim(user_type)) = 'root-account'
          OR coalesce(source_class, 'missing') <> 'service' AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL AND ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NOT NULL
          OR source_class = 'ip' AND NOT ip_in(source_ip, 'corporate_cidrs', event_time)
            AND NOT (ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10'))))
)
SELECT
    calls.*,
    CASE WHEN fetches_token AND NOT by_root AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL THEN 'address-undetermined' END AS variant,
    CASE
        WHEN fetches_token THEN CASE WHEN by_root THEN 'medium' WHEN ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL THEN 'info' ELSE 'low' END
        WHEN internet_share(range) >= 0.5 OR by_root OR from_outside THEN 'high'
        WHEN event_action IN ('createrepotrigger', 'updaterepotrigger') OR ip_in(split_part(range, '/', 1), 'corporate_cidrs', event_time) THEN 'low'
        ELSE 'medium'
    END AS severity,
    concat_ws('; ',
        CASE
            WHEN fetches_token THEN 'Fetched a login token of registry ' || registry
            WHEN event_action = 'createinstanceendpointaclpolicy' THEN 'Allowed ' || coalesce(range, '-') || ' to reach the registry'
            WHEN event_action = 'updateinstanceendpointstatus' THEN 'Opened the public endpoint of the registry'
            WHEN event_action = 'resetloginpassword' THEN 'Changed the login password of registry ' || registry
            WHEN event_action IN ('createrepotrigger', 'updaterepotrigger') THEN 'Set a webhook of the registry to ' || coalesce(param(request_parameters, request_parameter_json, 'TriggerUrl'), '-')
            ELSE 'Made repository ' || coalesce(param(request_parameters, request_parameter_json, 'RepoName'), param(request_parameters, request_parameter_json, 'RepoId'), '-') || ' public'
        END,
        CASE WHEN internet_share(range) >= 0.5 THEN 'The range is open to the whole internet' END,
        CASE WHEN by_root THEN 'The root account acted' END,
        CASE WHEN from_outside THEN 'The source address ' || client_ip || ' is in no corporate range' END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN source_class = 'ip' AND ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL
             THEN CASE WHEN ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NULL THEN 'The corporate ranges are not set' ELSE 'The corporate ranges have no IPv6 range' END END,
        CASE WHEN event_action = 'createinstanceendpointaclpolicy' AND range IS NULL THEN 'The range is unknown' END,
        CASE WHEN who = '' THEN 'The principal is unknown' END) AS unknowns
FROM calls
