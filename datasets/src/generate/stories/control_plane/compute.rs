//! Calls of the attack on instances, databases, backups and what runs on them.

use super::steps::{AttackStep, HarmlessCall};

/// The calls in the order of an intrusion.
pub(super) const STEPS: &[AttackStep] = &[
    (
        "AT-EXEC-005",
        "CS",
        "GrantPermissions",
        r#"{"uid":"200000000000000109","body":"[{\"cluster\":\"c-story\",\"role_name\":\"admin\"}]"}"#,
    ),
    (
        "AT-EXEC-005",
        "CS",
        "DescribeClusterUserKubeconfig",
        r#"{"ClusterId":"c-story","PrivateIpAddress":"false"}"#,
    ),
    (
        "AT-EXEC-006",
        "FC",
        "CreateTrigger",
        r#"{"functionName":"sync","body":"{\"triggerType\":\"timer\"}"}"#,
    ),
    ("AT-EXEC-006", "FC", "PutLayerACL", r#"{"layerName":"base","public":"true"}"#),
    (
        "AT-EXEC-007",
        "Oos",
        "CreateStateConfiguration",
        r#"{"TemplateName":"ACS-ECS-InventoryDataCollection"}"#,
    ),
    ("AT-EXEC-007", "Oos", "StartExecution", r#"{"TemplateName":"story"}"#),
    ("AT-EXEC-007", "Ros", "CreateStack", r#"{"StackName":"story","RamRoleName":"helper"}"#),
    (
        "AT-EXEC-008",
        "Ess",
        "CreateScalingConfiguration",
        r#"{"ScalingGroupId":"asg-story","UserData":"***","RamRoleName":"helper"}"#,
    ),
    (
        "AT-EXEC-008",
        "Ecs",
        "CreateLaunchTemplateVersion",
        r#"{"LaunchTemplateId":"lt-story","UserData":"***"}"#,
    ),
    ("AT-EXEC-009", "Ecs", "CreateKeyPair", r#"{"KeyPairName":"helper"}"#),
    (
        "AT-EXEC-009",
        "Eci",
        "ExecContainerCommand",
        r#"{"ContainerGroupId":"eci-story","ContainerName":"app"}"#,
    ),
    (
        "AT-EXEC-010",
        "Cr",
        "CreateInstanceEndpointAclPolicy",
        r#"{"InstanceId":"cri-story","EndpointType":"internet","Entry":"0.0.0.0/0"}"#,
    ),
    (
        "AT-EXEC-001",
        "SWAS-OPEN",
        "RunCommand",
        r#"{"InstanceId":"light-story","Type":"RunShellScript"}"#,
    ),
    (
        "AT-EXEC-002",
        "Ecs",
        "ModifyInstanceMetadataOptions",
        r#"{"InstanceId":"i-uf6storyexample00002","HttpTokens":"optional"}"#,
    ),
    (
        "AT-IMPACT-008",
        "Eci",
        "CreateContainerGroup",
        r#"{"ContainerGroupName":"story","InstanceType":"ecs.gn7i-c8g1.2xlarge"}"#,
    ),
    ("AT-IMPACT-008", "eas", "CreateService", r#"{"body":"{\"name\":\"story\"}"}"#),
    ("AT-IMPACT-006", "Ecs", "CreateAutoProvisioningGroup", r#"{"TotalTargetCapacity":"60"}"#),
    ("AT-IMPACT-004", "Alb", "DisableDeletionProtection", r#"{"ResourceId":"alb-story"}"#),
    (
        "AT-IMPACT-004",
        "Ess",
        "SetGroupDeletionProtection",
        r#"{"ScalingGroupId":"asg-story","GroupDeletionProtection":"false"}"#,
    ),
    ("AT-IMPACT-002", "Hbr", "DeletePolicyV2", r#"{"PolicyId":"po-story"}"#),
    (
        "AT-IMPACT-002",
        "Ecs",
        "ModifyAutoSnapshotPolicyEx",
        r#"{"autoSnapshotPolicyId":"sp-story","retentionDays":"1"}"#,
    ),
    ("AT-IMPACT-002", "Dbs", "ReleaseBackupPlan", r#"{"BackupPlanId":"dbs-story"}"#),
    (
        "AT-ECS-001",
        "Ess",
        "RemoveInstances",
        r#"{"ScalingGroupId":"asg-story","InstanceId.1":"i-uf6storyexample00003"}"#,
    ),
    (
        "AT-ECS-004",
        "Ess",
        "ModifyScalingGroup",
        r#"{"ScalingGroupId":"asg-story","MinSize":"0","MaxSize":"0"}"#,
    ),
    ("AT-ECS-004", "Ros", "DeleteStack", r#"{"StackId":"st-story"}"#),
    ("AT-ECS-003", "Rds", "StopRCInstance", r#"{"InstanceId":"rc-story"}"#),
    (
        "AT-ECS-003",
        "BssOpenApi",
        "RefundInstance",
        r#"{"InstanceId":"i-uf6storyexample00004","ProductCode":"ecs"}"#,
    ),
    ("AT-IMPACT-003", "R-kvstore", "DeleteInstance", r#"{"InstanceId":"r-story"}"#),
    ("AT-IMPACT-003", "CS", "DeleteCluster", r#"{"ClusterId":"c-story"}"#),
    ("AT-IMPACT-007", "Oss", "DeleteBucket", r#"{"bucketName":"invoices-1"}"#),
    ("AT-IMPACT-007", "Oss", "DeleteBucket", r#"{"bucketName":"invoices-2"}"#),
    ("AT-IMPACT-007", "Oss", "DeleteBucket", r#"{"bucketName":"invoices-3"}"#),
    ("AT-EXEC-003", "Ecs", "RunInstances", r#"{"ImageId":"m-story","Password":"******"}"#),
];

/// Calls that resemble them and are everyday work.
pub(super) const HARMLESS: &[HarmlessCall] = &[
    ("CS", "UpdateUserPermissions", r#"{"uid":"200000000000000109","mode":"delete"}"#),
    ("FC", "PutLayerACL", r#"{"layerName":"base","public":"false"}"#),
    (
        "Ess",
        "CreateScalingConfiguration",
        r#"{"ScalingGroupId":"asg-story","InstanceType":"ecs.g7.large"}"#,
    ),
    (
        "Cr",
        "UpdateInstanceEndpointStatus",
        r#"{"InstanceId":"cri-story","EndpointType":"internet","Enable":"false"}"#,
    ),
    ("Ess", "ModifyScalingGroup", r#"{"ScalingGroupId":"asg-story","MaxSize":"10"}"#),
    ("Ess", "DeleteScalingGroup", r#"{"ScalingGroupId":"asg-empty"}"#),
    ("Ros", "DeleteStack", r#"{"StackId":"st-story","RetainAllResources":"true"}"#),
    (
        "BssOpenApi",
        "SetRenewal",
        r#"{"InstanceIDs":"i-uf6storyexample00005","RenewalStatus":"AutoRenewal"}"#,
    ),
    (
        "Ecs",
        "ModifyAutoSnapshotPolicyEx",
        r#"{"autoSnapshotPolicyId":"sp-story","retentionDays":"30"}"#,
    ),
    ("Ecs", "DeleteSnapshot", r#"{"SnapshotId":"s-story"}"#),
    ("R-kvstore", "FlushExpireKeys", r#"{"InstanceId":"r-story"}"#),
    ("Alb", "EnableDeletionProtection", r#"{"ResourceId":"alb-story"}"#),
    ("Vpc", "DeleteVSwitch", r#"{"VSwitchId":"vsw-story"}"#),
    ("Ecs", "DeleteNetworkInterface", r#"{"NetworkInterfaceId":"eni-story"}"#),
];
