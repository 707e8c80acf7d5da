-- An account changed hands, or who pays for it: the mail address or phone of its root account, its type, its payer, a relation of
-- billing; or it was deleted or joined another organization. Whoever holds the mail address can reset the root password.
SELECT
    events.*,
    CASE WHEN event_action IN ('confirmrelation', 'modifyaccountrelation', 'relieveaccountrelation', 'accepthandshake') THEN 'medium' END AS severity,
    CASE event_action
        WHEN 'changeaccountemail' THEN 'Changed the mail address of account ' || coalesce(param(request_parameters, request_parameter_json, 'AccountId'), '?')
        WHEN 'bindsecuremobilephone' THEN 'Changed the phone of account ' || coalesce(param(request_parameters, request_parameter_json, 'AccountId'), '?')
        WHEN 'updatepayerforaccount' THEN 'Account ' || coalesce(param(request_parameters, request_parameter_json, 'PayerAccountId'), '?') || ' now pays for account ' || coalesce(param(request_parameters, request_parameter_json, 'AccountId'), '?')
        WHEN 'deleteaccount' THEN 'Deleted account ' || coalesce(param(request_parameters, request_parameter_json, 'AccountId'), '?')
        WHEN 'promoteresourceaccount' THEN 'Gave account ' || coalesce(param(request_parameters, request_parameter_json, 'AccountId'), '?') || ' a root account of its own'
        WHEN 'updateaccount' THEN 'Changed the type of account ' || coalesce(param(request_parameters, request_parameter_json, 'AccountId'), '?') || ' to ' || coalesce(param(request_parameters, request_parameter_json, 'NewAccountType'), '?')
        WHEN 'accepthandshake' THEN 'Accepted the invitation ' || coalesce(param(request_parameters, request_parameter_json, 'HandshakeId'), '?') || ' to an organization'
        WHEN 'addaccountrelation' THEN 'Made account ' || coalesce(param(request_parameters, request_parameter_json, 'ParentUserId'), '?') || ' the financial master of account ' || coalesce(param(request_parameters, request_parameter_json, 'ChildUserId'), '?')
        WHEN 'confirmrelation' THEN 'Confirmed account ' || coalesce(param(request_parameters, request_parameter_json, 'ParentUserId'), '?') || ' as the financial master of account ' || coalesce(param(request_parameters, request_parameter_json, 'ChildUserId'), '?')
        WHEN 'modifyaccountrelation' THEN 'Changed what the financial master ' || coalesce(param(request_parameters, request_parameter_json, 'ParentUserId'), '?') || ' may do for account ' || coalesce(param(request_parameters, request_parameter_json, 'ChildUserId'), '?')
        ELSE 'Ended the relation of billing between account ' || coalesce(param(request_parameters, request_parameter_json, 'ParentUserId'), '?') || ' and account ' || coalesce(param(request_parameters, request_parameter_json, 'ChildUserId'), '?')
    END AS why,
    concat_ws('; ',
        CASE WHEN event_action = 'accepthandshake' THEN 'Whose organization it is' END,
        CASE WHEN event_action = 'updateaccount' AND param(request_parameters, request_parameter_json, 'NewAccountType') IS NULL THEN 'What was changed' END,
        CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END) AS unknowns
FROM events
WHERE outcome = 'success'
  AND (event_action IN ('changeaccountemail', 'bindsecuremobilephone', 'updatepayerforaccount', 'deleteaccount', 'promoteresourceaccount', 'updateaccount', 'accepthandshake')
       AND lower(service_name) IN ('resourcemanager', 'resourcedirectorymaster')
       -- A new display name changes nothing.
       AND (event_action <> 'updateaccount' OR param(request_parameters, request_parameter_json, 'NewAccountType') IS NOT NULL OR request_parameters IS NULL AND request_parameter_json IS NULL)
    OR event_action IN ('addaccountrelation', 'confirmrelation', 'modifyaccountrelation', 'relieveaccountrelation', 'updatepayerforaccount') AND lower(service_name) = 'bssopenapi')
