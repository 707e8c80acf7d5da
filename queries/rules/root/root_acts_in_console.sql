-- Writes by the root account through console sessions and temporary keys, and its reads of secrets and of the list of all
-- credentials. Another rule covers its long-term keys.
WITH acted AS (
    SELECT
        events.*,
        lower(service_name) = 'kms' AND event_action = 'getsecretvalue'
            OR lower(service_name) = 'oos' AND event_action IN ('getsecretparameter', 'getsecretparameters', 'getsecretparametersbypath')
            OR lower(service_name) IN ('ims', 'ram') AND event_action IN ('generatecredentialreport', 'getcredentialreport', 'getappsecret')
            OR lower(service_name) = 'cs' AND event_action = 'describeclusteruserkubeconfig'
            OR lower(service_name) = 'cas' AND event_action = 'getusercertificatedetail'
            OR lower(service_name) = 'cr' AND event_action = 'getauthorizationtoken' AS is_secret
    FROM events
    WHERE lower(trim(user_type)) = 'root-account'
      AND credential_kind <> 'long_term'
      AND outcome = 'success'
      AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
      AND coalesce(event_action, '') NOT LIKE 'consolesign%'
)
SELECT
    acted.*,
    CASE WHEN is_secret THEN 'secrets' END AS variant,
    concat_ws('; ',
        CASE
            WHEN is_secret THEN 'The root account read secrets: ' || event_name || ' of ' || service_name
            ELSE 'The root account changed something: ' || event_name || ' of ' || service_name
        END,
        CASE
            WHEN access_key_id LIKE 'TMP.%' THEN 'The call was made with a temporary key of the console'
            WHEN credential_kind = 'temporary' THEN 'The call was made with a temporary key'
            WHEN credential_kind = 'console_session' THEN 'The call was made in a console session'
        END,
        'The call came from ' || source_ip_address) AS why,
    concat_ws('; ',
        CASE WHEN event_rw IS NULL THEN 'Whether the call reads or writes (counted as a write)' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM acted
WHERE coalesce(is_secret, false) OR coalesce(lower(event_rw), '') <> 'read'
