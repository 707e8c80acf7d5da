-- Steps of a takeover of a domain: the domain goes to another account, gets other name servers or another owner, or loses a lock.
-- Or its records are changed so that mail or a whole part of it goes elsewhere, from outside of the company, or by somebody who
-- does not do so usually.
WITH calls AS (
    SELECT
        event_key,
        event_time,
        event_action,
        coalesce(account_id, '') AS account,
        principal_id,
        source_class,
        ip_in(source_ip, 'corporate_cidrs', event_time) AS is_inside,
        ip_in('0.0.0.0', 'corporate_cidrs', event_time) IS NOT NULL AS has_ranges,
        event_action IN ('adddomainrecord', 'updatedomainrecord', 'deletedomainrecord', 'deletesubdomainrecords', 'setdomainrecordstatus', 'operatebatchdomain') AS is_record,
        request_parameters,
        request_parameter_json
    FROM events
    WHERE event_action IN ('adddomainrecord', 'updatedomainrecord', 'deletedomainrecord', 'deletesubdomainrecords', 'setdomainrecordstatus', 'operatebatchdomain',
            'transferdomain', 'changedomainofdnsproduct', 'setdomaindnssecstatus', 'deletedomain', 'modifyhichinadomaindns',
            'savetaskformodifyingdomaindns', 'savebatchtaskformodifyingdomaindns', 'savesingletaskformodifyingdnshost', 'savesingletaskfordisablingdnssec',
            'savesingletaskfordisablingtransferprohibitionlock', 'savesingletaskfortransferprohibitionlock', 'savebatchtaskfortransferprohibitionlock',
            'savesingletaskforupdateprohibitionlock', 'savebatchtaskforupdateprohibitionlock', 'savesingletaskforqueryingtransferauthorizationcode',
            'savesingletaskforapprovingtransferout', 'savetaskforupdatingcontactbytemplateid', 'savetaskforupdatingcontactbytempateid',
            'savebatchtaskforupdatingcontactinfobynewcontact', 'savebatchtaskforupdatingcontactinfobyregistrantprofileid')
      AND lower(service_name) IN ('alidns', 'domain')
      AND outcome = 'success'
),
-- Changes of records are everyday work of those who do it: whoever has changed none for thirty days is not one of them. While an
-- account's changes are known for less than two weeks, nobody inside can be told apart.
record_changes AS (
    SELECT
        *,
        count(*) OVER (PARTITION BY account, principal_id, is_inside ORDER BY event_time RANGE BETWEEN INTERVAL '30 days' PRECEDING AND INTERVAL '1 day' PRECEDING) > 0 AS is_usual,
        count(*) OVER (PARTITION BY account ORDER BY event_time RANGE BETWEEN INTERVAL '30 days' PRECEDING AND INTERVAL '14 days' PRECEDING) > 0 AS has_history,
        coalesce(regexp_like(upper(array_to_string(values_at(request_parameters, request_parameter_json, 'Type'), ',')), '(^|,) *(NS|MX) *(,|$)'), false) AS moves_much
    FROM calls
    WHERE is_record AND event_time IS NOT NULL
),
found AS (
    SELECT
        event_key,
        CAST(NULL AS VARCHAR) AS variant,
        CASE WHEN event_action IN ('deletedomain', 'changedomainofdnsproduct', 'setdomaindnssecstatus', 'savesingletaskfordisablingdnssec') THEN 'medium' ELSE 'high' END AS severity,
        CASE
            WHEN event_action = 'transferdomain' THEN 'Moved domains to account ' || coalesce(param(request_parameters, request_parameter_json, 'TargetUserId'), '?')
            WHEN event_action IN ('savetaskformodifyingdomaindns', 'savebatchtaskformodifyingdomaindns', 'savesingletaskformodifyingdnshost', 'modifyhichinadomaindns')
                THEN concat_ws(' to ', 'Changed the name servers of a domain', nullif(array_to_string(values_at(request_parameters, request_parameter_json, 'DnsList'), ', '), ''))
            WHEN event_action IN ('savesingletaskforqueryingtransferauthorizationcode', 'savesingletaskforapprovingtransferout') THEN 'Prepared the move of a domain to another registrar'
            WHEN event_action IN ('savetaskforupdatingcontactbytemplateid', 'savetaskforupdatingcontactbytempateid', 'savebatchtaskforupdatingcontactinfobynewcontact', 'savebatchtaskforupdatingcontactinfobyregistrantprofileid')
                THEN 'Changed the owner of a domain'
            WHEN event_action = 'deletedomain' THEN 'Removed a domain with all its records'
            WHEN event_action = 'changedomainofdnsproduct' THEN 'Gave a name service to another domain'
            WHEN event_action IN ('setdomaindnssecstatus', 'savesingletaskfordisablingdnssec') THEN 'Switched the signing of a domain off'
            ELSE 'Took a lock off a domain'
        END AS reason
    FROM calls
    WHERE NOT is_record
      AND (event_action <> 'setdomaindnssecstatus' OR NOT coalesce(regexp_like(lower(array_to_string(values_at(request_parameters, request_parameter_json, 'Status'), ',')), '^ *on *(, *on *)*$'), false))
      -- A lock that is put on is no step of a takeover; a call that does not say that it is may take it off.
      AND (event_action NOT IN ('savesingletaskfortransferprohibitionlock', 'savebatchtaskfortransferprohibitionlock', 'savesingletaskforupdateprohibitionlock', 'savebatchtaskforupdateprohibitionlock')
        OR NOT coalesce(regexp_like(lower(array_to_string(values_at(request_parameters, request_parameter_json, 'Status'), ',')), '^ *true *(, *true *)*$'), false))
    UNION ALL
    SELECT
        event_key,
        CASE
            WHEN moves_much THEN 'mail or delegation'
            WHEN is_inside OR NOT has_ranges THEN 'first records'
            WHEN NOT is_inside THEN 'outside'
            ELSE 'outside-undetermined'
        END,
        CASE WHEN moves_much OR has_ranges AND NOT is_inside THEN 'medium' ELSE 'low' END,
        concat_ws('; ',
            CASE WHEN event_action IN ('deletedomainrecord', 'deletesubdomainrecords') THEN 'Deleted a record' ELSE 'Changed a record' END
                || coalesce(' ' || nullif(array_to_string(values_at(request_parameters, request_parameter_json, 'RR'), ', '), ''), '')
                || coalesce(' to ' || nullif(array_to_string(values_at(request_parameters, request_parameter_json, 'Value'), ', '), ''), ''),
            CASE WHEN moves_much THEN 'Such a record decides where mail or a whole part of the domain goes' ELSE 'The caller changed no records from such a place in the 30 days before' END)
    FROM record_changes
    WHERE moves_much
       OR NOT is_usual AND (has_history OR has_ranges AND NOT coalesce(is_inside, false))
)
SELECT
    events.*,
    found.variant,
    found.severity,
    concat_ws('; ', found.reason, 'Domain ' || coalesce(nullif(array_to_string(values_at(request_parameters, request_parameter_json, 'DomainName'), ', '), ''),
        nullif(array_to_string(values_at(request_parameters, request_parameter_json, 'DomainNames'), ', '), ''))) AS why,
    CASE WHEN events.source_class <> 'ip' THEN 'Where the call came from (source address: ' || events.source_class || ')'
        WHEN found.variant = 'outside-undetermined' THEN 'Whether the address belongs to the company (the corporate ranges list no IPv6)' END AS unknowns
FROM found
JOIN events ON events.event_key = found.event_key
