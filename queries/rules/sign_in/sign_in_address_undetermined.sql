-- Sign-ins of which nobody can tell whether they come from inside or outside: the source is not an IP address (Internal, a host
-- name, missing, masked, a list that a proxy wrote), or it is IPv6 while the company's ranges are IPv4 only.
SELECT
    events.*,
    -- One finding a day for the account where the call is made by the sign-in page, as for roles through an identity
    -- provider, and for an office whose IPv6 nobody listed.
    CASE WHEN lower(trim(user_type)) = 'root-account' OR event_action <> 'assumerolewithsaml' AND source_class <> 'ip'
         THEN coalesce(principal_id, login_account, user_name) END AS who,
    concat_ws('; ',
        CASE
            WHEN event_action = 'assumerolewithsaml' THEN coalesce('User ' || coalesce(user_name, principal_id) || ' of an identity provider took the role ' || param(request_parameters, request_parameter_json, 'RoleArn'), 'Somebody took a role through an identity provider')
            WHEN lower(trim(user_type)) = 'root-account' THEN 'The root account signed in'
            WHEN lower(trim(user_type)) = 'cloudsso-user' THEN coalesce('CloudSSO user ' || coalesce(user_name, principal_id) || ' signed in', 'Somebody signed in')
            WHEN lower(trim(user_type)) = 'ram-user' THEN coalesce('RAM user ' || coalesce(user_name, principal_id) || ' signed in', 'Somebody signed in')
            ELSE coalesce('User ' || coalesce(user_name, login_account, principal_id) || ' signed in', 'Somebody signed in')
        END,
        CASE
            WHEN source_class = 'ip' AND client_ip LIKE '%:%' THEN 'The sign-in came from ' || client_ip || ', and the corporate ranges list no IPv6'
            WHEN source_class = 'ip' THEN 'The sign-in came from ' || client_ip || ', and nobody knows which corporate ranges were valid then'
            WHEN source_class = 'internal' THEN 'The sign-in came from inside of Alibaba Cloud'
            WHEN source_class = 'service' THEN 'The sign-in came through the service ' || source_ip_address
            WHEN source_class = 'missing' THEN 'The event names no source address'
            ELSE 'The source address ' || source_ip_address || ' is no IP address'
        END,
        CASE WHEN mfa = 'no' THEN 'No second factor was used' END) AS why,
    concat_ws('; ',
        'Whether the sign-in came from inside the corporate ranges',
        CASE WHEN mfa = 'unknown' THEN 'Whether a second factor was used' END) AS unknowns
FROM events
WHERE (event_action LIKE 'consolesignin%'
    OR event_action = 'login' AND lower(service_name) = 'cloudsso'
    OR event_action = 'assumerolewithsaml' AND lower(service_name) = 'sts')
  AND outcome = 'success'
  AND (source_class <> 'ip' OR ip_in(source_ip, 'corporate_cidrs', event_time) IS NULL)
