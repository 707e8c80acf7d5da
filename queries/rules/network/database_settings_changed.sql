-- Changes of the configuration of an RDS instance.
SELECT
    events.*,
    concat_ws('; ',
        event_name || ' changed a setting of a database',
        'Database ' || coalesce(param(request_parameters, request_parameter_json, 'DBInstanceId'), resource_name)) AS why,
    CASE WHEN source_class <> 'ip' THEN 'Where the call came from (source address: ' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('modifydbinstancespec', 'modifydbinstanceconnectionstring', 'modifydbinstancenetworktype', 'modifydbinstancessl', 'modifydbinstancetde', 'modifysecurityips', 'modifysecuritygroupconfiguration', 'modifyparameter',
        'modifybackuppolicy', 'modifyinstancecrossbackuppolicy', 'modifydbinstancehaconfig', 'switchdbinstanceha', 'modifydbinstancemaintaintime', 'modifyaccountdescription', 'resetaccountpassword', 'grantaccountprivilege',
        'revokeaccountprivilege', 'allocateinstancepublicconnection', 'releaseinstancepublicconnection', 'migratesecurityipmode', 'switchdbinstancenettype')
  AND lower(service_name) = 'rds'
  AND outcome = 'success'
  AND NOT coalesce(matches(role_name, 'automation_roles'), false)
