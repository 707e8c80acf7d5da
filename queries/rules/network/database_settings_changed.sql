-- Changes of the configuration of an RDS instance.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'on ' || resource_name,
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('modifydbinstancespec', 'modifydbinstanceconnectionstring', 'modifydbinstancenetworktype', 'modifydbinstancessl', 'modifydbinstancetde', 'modifysecurityips', 'modifyparameter', 'modifybackuppolicy', 'modifydbinstancemaintaintime', 'modifyaccountdescription', 'resetaccountpassword', 'grantaccountprivilege', 'revokeaccountprivilege', 'allocateinstancepublicconnection', 'releaseinstancepublicconnection', 'migratesecurityipmode', 'switchdbinstancenettype')
  AND lower(service_name) IN ('rds')
  AND outcome = 'success'
  AND NOT coalesce(matches(role_name, 'automation_roles'), false)
