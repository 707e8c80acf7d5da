-- Changes by which somebody can take over the root account or lock others out of it.
SELECT
    events.*,
    concat_ws('; ',
        CASE
            WHEN event_action LIKE 'password%' THEN 'The password of the root account was changed'
            WHEN event_action = 'mfaunbind' THEN 'The MFA device of the root account was removed'
            WHEN event_action = 'mfabind' THEN 'An MFA device was bound to the root account'
            WHEN event_action LIKE 'mobile%' THEN 'The phone number of the root account was changed'
            ELSE 'The mail address of the root account was changed'
        END,
        'The call came from ' || source_ip_address) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('passwordmodify', 'passwordreset', 'mfaunbind', 'mfabind', 'mobilebind', 'mobilemodify', 'emailmodify')
  AND lower(service_name) = 'aascustomer'
  AND outcome = 'success'
