-- Data of a database was exported, or a script was run, through Data Management (DMS). People who work with data do it every day: it
-- counts from outside the corporate ranges (anywhere, where these are not set), where the principal did not do it from the same
-- network in the ninety days before.
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
        date_bin(INTERVAL '1 day', event_time) AS event_day,
        event_action = 'executescript' AS is_script
    FROM events
    WHERE event_action IN ('createdataexportorder', 'createdatabaseexportorder', 'executedataexport', 'getdataexportdownloadurl', 'getdbexportdownloadurl', 'executescript', 'downloaddatatrackresult')
      AND lower(service_name) IN ('dms-enterprise', 'dms_enterprise', 'dms')
      AND outcome = 'success'
),
-- Only the first call of a principal from a network on a day can be new.
days AS (
    SELECT account, who, event_day, lag(event_day) OVER (PARTITION BY account, who ORDER BY event_day) AS before
    FROM (SELECT DISTINCT account, who, event_day FROM calls WHERE event_time IS NOT NULL)
),
judged AS (
    SELECT
        calls.*,
        NOT coalesce(days.before >= calls.event_day - INTERVAL '90 days', false) AS is_new,
        coalesce(NOT ip_in(calls.source_ip, 'corporate_cidrs', calls.event_time), false) AS from_outside,
        ip_in('192.0.2.1', 'corporate_cidrs', calls.event_time) IS NULL AS ranges_unknown,
        -- True only where the corporate ranges are known and the address is not, or is IPv6 while the ranges list none.
        calls.source_class <> 'service' AND ip_in(calls.source_ip, 'corporate_cidrs', calls.event_time) IS NULL AND ip_in('192.0.2.1', 'corporate_cidrs', calls.event_time) IS NOT NULL AS from_unknown
    FROM calls
    LEFT JOIN days ON days.account = calls.account AND days.who = calls.who AND days.event_day = calls.event_day
)
SELECT
    judged.*,
    CASE WHEN from_unknown THEN 'undetermined' END AS variant,
    CASE WHEN from_outside AND NOT is_script THEN 'medium' ELSE 'low' END AS severity,
    concat_ws('; ',
        CASE
            WHEN event_action IN ('getdataexportdownloadurl', 'getdbexportdownloadurl', 'downloaddatatrackresult') THEN 'Fetched the link to exported data'
            WHEN is_script THEN 'Ran an SQL script'
            ELSE 'Exported data of a database'
        END,
        CASE WHEN event_action IN ('executedataexport', 'getdataexportdownloadurl', 'getdbexportdownloadurl', 'downloaddatatrackresult') THEN 'The order is ' || param(request_parameters, request_parameter_json, 'OrderId') END,
        CASE WHEN is_script THEN 'The database is ' || param(request_parameters, request_parameter_json, 'DbId') END,
        CASE WHEN is_new THEN 'The principal did not do this from this network in the 90 days before' END,
        CASE WHEN from_outside THEN 'The address ' || source_ip_address || ' is in no corporate range' END) AS why,
    nullif(concat_ws('; ',
        'The event does not say which data it was',
        CASE WHEN from_unknown THEN 'It is not known whether the call came from a corporate range' END,
        CASE WHEN source_class = 'missing' THEN 'The event has no source address' WHEN source_class <> 'ip' THEN 'The source is not an IP address: ' || source_ip_address END), '') AS unknowns
FROM judged
WHERE is_new AND (from_outside OR from_unknown OR ranges_unknown)
