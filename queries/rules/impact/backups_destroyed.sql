-- Backups, snapshots, vaults or plans were deleted, automatic backups were turned off, or their retention was cut. Single snapshots are
-- deleted every day: ten of one principal within half an hour count.
WITH calls AS (
    SELECT
        events.*,
        -- A role is one principal, whatever its sessions are called.
        coalesce(role_name, principal_id, user_name, '') AS who,
        event_action IN ('deletesnapshot', 'deletesnapshotgroup') AS is_snapshot,
        -- Each operation by its own parameter: a superfluous one must not stand before it.
        CASE WHEN event_action = 'modifyautosnapshotpolicyex' THEN try_cast(param(request_parameters, request_parameter_json, 'retentionDays') AS BIGINT)
             ELSE least(
                -- What is below zero keeps backups for ever, and must not stand before another.
                nullif(greatest(try_cast(param(request_parameters, request_parameter_json, 'BackupRetentionPeriod') AS BIGINT), -1), -1),
                nullif(greatest(try_cast(param(request_parameters, request_parameter_json, 'DataLevel1BackupRetentionPeriod') AS BIGINT), -1), -1),
                nullif(greatest(try_cast(param(request_parameters, request_parameter_json, 'BackupSetRetention') AS BIGINT), -1), -1)) END AS days,
        coalesce(lower(param(request_parameters, request_parameter_json, 'EnableBackupLog')) IN ('0', 'false', 'disable', 'disabled'), false)
            OR coalesce(lower(param(request_parameters, request_parameter_json, 'BackupLog')) IN ('0', 'false', 'disable', 'disabled'), false) AS without_log,
        coalesce(lower(param(request_parameters, request_parameter_json, 'ReleasedKeepPolicy')) = 'none', false)
            OR coalesce(lower(param(request_parameters, request_parameter_json, 'BackupRetentionPolicyOnClusterDeletion')) IN ('none', '0'), false) AS none_kept,
        CASE WHEN event_action = 'deletesnapshotgroup' THEN param(request_parameters, request_parameter_json, 'SnapshotGroupId')
             WHEN event_action = 'deletesnapshot' THEN param(request_parameters, request_parameter_json, 'SnapshotId') END AS snapshot,
        coalesce(param(request_parameters, request_parameter_json, 'autoSnapshotPolicyId'), param(request_parameters, request_parameter_json, 'SnapshotId'), param(request_parameters, request_parameter_json, 'SnapshotGroupId'),
            param(request_parameters, request_parameter_json, 'PolicyId'), param(request_parameters, request_parameter_json, 'PlanId'), param(request_parameters, request_parameter_json, 'BackupPlanId'),
            param(request_parameters, request_parameter_json, 'DBInstanceId'), param(request_parameters, request_parameter_json, 'DBInstanceName'), param(request_parameters, request_parameter_json, 'DBClusterId'),
            param(request_parameters, request_parameter_json, 'InstanceId'), param(request_parameters, request_parameter_json, 'VaultId'), param(request_parameters, request_parameter_json, 'FileSystemIds'),
            param(request_parameters, request_parameter_json, 'diskIds'), param(request_parameters, request_parameter_json, 'BackupId'), resource_name) AS target
    FROM events
    WHERE outcome = 'success'
      AND (lower(service_name) = 'ecs' AND event_action IN ('deleteautosnapshotpolicy', 'cancelautosnapshotpolicy', 'modifyautosnapshotpolicyex', 'deletesnapshot', 'deletesnapshotgroup')
        OR lower(service_name) = 'nas' AND event_action IN ('deleteautosnapshotpolicy', 'cancelautosnapshotpolicy', 'deletesnapshot')
        OR lower(service_name) = 'ebs' AND event_action IN ('deleteenterprisesnapshotpolicy', 'unbindenterprisesnapshotpolicy')
        OR lower(service_name) = 'hbr' AND event_action IN ('deletevault', 'deletebackupplan', 'disablebackupplan', 'deletehanabackupplan', 'disablehanabackupplan', 'deletepolicyv2',
            'deletepolicybinding', 'deletesnapshot')
        OR lower(service_name) = 'dbs' AND event_action IN ('releasebackupplan', 'stopbackupplan')
        OR lower(service_name) = 'rds' AND event_action IN ('deletebackup', 'deletebackupfile', 'deleteuserbackupfile', 'modifybackuppolicy')
        OR lower(service_name) IN ('dds', 'polardb', 'r-kvstore', 'gpdb') AND event_action IN ('deletebackup', 'modifybackuppolicy')
        OR lower(service_name) = 'adb' AND event_action IN ('deletebackups', 'modifybackuppolicy')
        OR lower(service_name) = 'clickhouse' AND event_action IN ('deletebackuppolicy', 'modifybackuppolicy')
        OR lower(service_name) = 'starrocks' AND event_action IN ('deletebackup', 'deletebackuppolicy')
        OR lower(service_name) = 'polardbx' AND event_action = 'updatebackuppolicy'
        OR lower(service_name) = 'drds' AND event_action = 'removebackupsset')
      AND coalesce(lower(event_type), '') <> 'aliyunserviceevent'
      AND coalesce(lower(user_type), '') <> 'system'
),
counted AS (
    SELECT event_key, account_id, who, event_time,
           count(DISTINCT coalesce(snapshot, encode(event_key, 'hex'))) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN INTERVAL '30 minutes' PRECEDING AND CURRENT ROW) AS in_window
    FROM calls
    WHERE is_snapshot AND event_time IS NOT NULL
),
marked AS (
    SELECT event_key, max(in_window) OVER (PARTITION BY coalesce(account_id, ''), who ORDER BY event_time RANGE BETWEEN CURRENT ROW AND INTERVAL '30 minutes' FOLLOWING) AS most
    FROM counted
)
SELECT
    calls.*,
    CASE
        WHEN event_action IN ('modifybackuppolicy', 'updatebackuppolicy') AND (without_log OR none_kept) AND NOT coalesce(days < 7, false) THEN 'medium'
        -- Seven days are the least that most databases allow, and what many companies choose.
        WHEN event_action IN ('modifybackuppolicy', 'updatebackuppolicy') AND days = 7 THEN 'low'
        ELSE 'high'
    END AS severity,
    -- A role that programs use does this every day. Elsewhere than in the company's ranges its credentials may be stolen.
    CASE WHEN matches(role_name, 'automation_roles') AND (coalesce(ip_in(source_ip, 'corporate_cidrs', event_time), false) OR coalesce((ip_in_cidr(source_ip, '10.0.0.0/8') OR ip_in_cidr(source_ip, '172.16.0.0/12') OR ip_in_cidr(source_ip, '192.168.0.0/16') OR ip_in_cidr(source_ip, '100.64.0.0/10')), false)
            OR ip_in('192.0.2.1', 'corporate_cidrs', event_time) IS NULL)
         THEN 'automation_roles: ' || role_name END AS expected_because,
    concat_ws('; ',
        CASE
            WHEN is_snapshot THEN 'Deleted ' || CAST(most AS VARCHAR) || ' snapshots within 30 minutes'
            WHEN event_action IN ('modifyautosnapshotpolicyex', 'modifybackuppolicy', 'updatebackuppolicy') THEN 'Changed the backup policy of ' || coalesce(target, '-')
            WHEN event_action LIKE 'cancel%' OR event_action LIKE 'disable%' OR event_action LIKE 'stop%' OR event_action LIKE 'unbind%' OR event_action = 'deletepolicybinding'
                THEN 'Switched off the backup of ' || coalesce(target, '-') || ' by ' || event_name
            ELSE 'Destroyed backups or their plan: ' || event_name || ' of ' || coalesce(target, '-')
        END,
        CASE WHEN event_action IN ('modifyautosnapshotpolicyex', 'modifybackuppolicy', 'updatebackuppolicy') AND days <= 7 THEN 'Backups are kept for ' || CAST(days AS VARCHAR) || ' day(s) only' END,
        CASE WHEN without_log AND event_action = 'modifybackuppolicy' THEN 'The log backup is off' END,
        CASE WHEN none_kept AND event_action = 'modifybackuppolicy' THEN 'No backup is kept when the database is released' END) AS why,
    concat_ws('; ',
        CASE WHEN source_class <> 'ip' THEN 'The source address is unknown (' || source_class || ')' END,
        CASE WHEN target IS NULL THEN 'The event does not say which resource' END) AS unknowns
FROM calls
LEFT JOIN marked ON marked.event_key = calls.event_key
WHERE CASE
        WHEN is_snapshot THEN coalesce(most >= 10, false)
        -- -1 keeps snapshots for ever.
        WHEN event_action = 'modifyautosnapshotpolicyex' THEN coalesce(days BETWEEN 0 AND 6, false)
        WHEN event_action IN ('modifybackuppolicy', 'updatebackuppolicy') THEN coalesce(days BETWEEN 0 AND 7, false) OR without_log OR none_kept
        ELSE true
      END
