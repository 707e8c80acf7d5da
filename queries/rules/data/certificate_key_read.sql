-- Somebody read a certificate together with its private key. Pipelines that install certificates do it all the time: it counts where
-- the principal did not do it from the same network in the thirty days before. A call that filters the certificate out returns no key.
WITH calls AS (
    SELECT
        events.*,
        coalesce(account_id, '') AS account,
        -- Who, and from which network: the corporate ranges are one; else /24, for IPv6 /48, or the kind of address.
        coalesce(role_name, principal_id, '') || '@' || CASE
            WHEN coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false) THEN 'corporate'
            WHEN source_class = 'ip' THEN left(encode(source_ip, 'hex'), CASE WHEN client_ip LIKE '%:%' THEN 12 ELSE 30 END)
            ELSE source_class
        END AS who,
        date_bin(INTERVAL '1 day', event_time) AS event_day
    FROM events
    WHERE event_action = 'getusercertificatedetail'
      AND lower(service_name) = 'cas'
      AND outcome = 'success'
      -- Of two spellings of the parameter, one that says no counts.
      AND (NOT coalesce(any_is(values_at(request_parameters, request_parameter_json, 'CertFilter'), 're', '(?i)^ *(true|1) *$'), false) OR coalesce(any_is(values_at(request_parameters, request_parameter_json, 'CertFilter'), 're', '(?i)^ *(false|0) *$'), false))
),
-- Only the first call of a principal from a network on a day can be new.
days AS (
    SELECT account, who, event_day, lag(event_day) OVER (PARTITION BY account, who ORDER BY event_day) AS before
    FROM (SELECT DISTINCT account, who, event_day FROM calls WHERE event_time IS NOT NULL)
),
judged AS (
    SELECT
        calls.*,
        NOT coalesce(days.before >= calls.event_day - INTERVAL '30 days', false) AS is_new,
        coalesce(NOT ip_in(calls.source_ip, 'corporate_cidrs', calls.event_time), false) AS from_outside,
        -- True only where the corporate ranges are known and the address is not.
        calls.source_class IN ('internal', 'missing', 'garbage') AND ip_in('192.0.2.1', 'corporate_cidrs', calls.event_time) IS NOT NULL AS from_unknown
    FROM calls
    LEFT JOIN days ON days.account = calls.account AND days.who = calls.who AND days.event_day = calls.event_day
)
SELECT
    judged.*,
    CASE WHEN from_outside THEN 'medium' ELSE 'low' END AS severity,
    concat_ws('; ',
        'Read a certificate with its private key',
        'The certificate is ' || param(request_parameters, request_parameter_json, 'CertId'),
        CASE WHEN is_new THEN 'The principal did not do this from this network in the 30 days before' END,
        CASE WHEN from_outside THEN 'The address ' || source_ip_address || ' is in no corporate range' END) AS why,
    nullif(concat_ws('; ',
        CASE WHEN from_unknown THEN 'It is not known whether the call came from a corporate range' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM judged
WHERE is_new
