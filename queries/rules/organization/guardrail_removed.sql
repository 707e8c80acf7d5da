-- Changes of control policies and of the membership of an organization's accounts.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'policy ' || param(request_parameters, 'PolicyId'),
        'target ' || coalesce(param(request_parameters, 'TargetId'), param(request_parameters, 'AccountId')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('detachcontrolpolicy', 'disablecontrolpolicy', 'updatecontrolpolicy', 'deletecontrolpolicy', 'removecloudaccount', 'destroyresourcedirectory', 'deregisterdelegatedadministrator')
  AND lower(service_name) IN ('resourcemanager', 'resourcedirectorymaster')
  AND outcome = 'success'
