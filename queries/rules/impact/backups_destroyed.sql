-- Backups, backup vaults or backup plans were deleted, or automatic snapshots were turned off.
SELECT
    events.*,
    concat_ws('; ',
        'event = ' || event_name,
        'of ' || coalesce(param(request_parameters, 'autoSnapshotPolicyId'), param(request_parameters, 'DBInstanceId'), param(request_parameters, 'VaultId'), param(request_parameters, 'PlanId'), param(request_parameters, 'diskIds')),
        'outcome = ' || outcome) AS why,
    CASE WHEN source_class <> 'ip' THEN 'source address (' || source_class || ')' END AS unknowns
FROM events
WHERE event_action IN ('deleteautosnapshotpolicy', 'cancelautosnapshotpolicy', 'deletebackup', 'deletevault', 'deletebackupplan')
  AND lower(service_name) IN ('ecs', 'rds', 'hbr', 'dds', 'polardb')
  AND outcome = 'success'
  AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
