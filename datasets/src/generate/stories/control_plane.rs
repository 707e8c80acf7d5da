//! Story: an intruder with broad permissions changes credentials, permissions, logging, defenses, networks and data. Each
//! call succeeds once and is refused once. Near misses: similar calls that are everyday work.

use super::super::event::{EventBuilder, uuid};
use super::context::{StoryContext, in_console};
use serde_json::{Value, json};

/// A call of the attack: the rule that must flag it, service, event name, parameters as JSON.
type AttackStep = (&'static str, &'static str, &'static str, &'static str);

/// The calls in the order of an intrusion.
const ATTACK_STEPS: [AttackStep; 54] = [
    ("AT-CRED-001", "Ram", "CreateAccessKey", r#"{"UserName":"backup-job"}"#),
    (
        "AT-CRED-002",
        "Ram",
        "UpdateAccessKey",
        r#"{"UserAccessKeyId":"LTAI5tStoryExampleKey0001","Status":"Active"}"#,
    ),
    (
        "AT-CRED-002",
        "Ims",
        "RestoreAccessKeyFromRecycleBin",
        r#"{"UserAccessKeyId":"LTAI5tStoryExampleKey0002"}"#,
    ),
    (
        "AT-IAM-001",
        "Ram",
        "AttachPolicyToUser",
        r#"{"PolicyName":"AdministratorAccess","UserName":"backup-job"}"#,
    ),
    (
        "AT-IAM-001",
        "Ram",
        "AttachPolicyToRole",
        r#"{"PolicyName":"AliyunRAMFullAccess","RoleName":"helper"}"#,
    ),
    (
        "AT-IAM-002",
        "Ram",
        "CreatePolicyVersion",
        r#"{"PolicyName":"helper","PolicyDocument":"{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]}"}"#,
    ),
    ("AT-IAM-004", "Ram", "UnbindMFADevice", r#"{"UserName":"mei.wang"}"#),
    (
        "AT-IAM-005",
        "Ims",
        "SetSecurityPreference",
        r#"{"LoginNetworkMasks":"","MFAOperationForLogin":"independent"}"#,
    ),
    ("AT-IAM-006", "Ims", "SetPasswordPolicy", r#"{"MinimumPasswordLength":"8"}"#),
    ("AT-IAM-007", "Ims", "CreateOIDCProvider", r#"{"OIDCProviderName":"elsewhere"}"#),
    (
        "AT-IAM-007",
        "CloudSSO",
        "CreateSCIMServerCredential",
        r#"{"DirectoryId":"d-00exampledir1"}"#,
    ),
    (
        "AT-IAM-010",
        "CloudSSO",
        "CreateAccessAssignment",
        r#"{"PrincipalId":"u-story","TargetId":"1000000000000001"}"#,
    ),
    (
        "AT-IAM-008",
        "Ram",
        "UpdateRole",
        r#"{"RoleName":"helper","NewAssumeRolePolicyDocument":"{\"Statement\":[{\"Action\":\"sts:AssumeRole\",\"Effect\":\"Allow\",\"Principal\":{\"RAM\":[\"*\"]}}]}"}"#,
    ),
    (
        "AT-ORG-001",
        "ResourceManager",
        "DetachControlPolicy",
        r#"{"PolicyId":"cp-story","TargetId":"fd-story"}"#,
    ),
    ("AT-LOG-001", "Actiontrail", "StopLogging", r#"{"Name":"main"}"#),
    ("AT-LOG-001", "Actiontrail", "UpdateTrail", r#"{"Name":"main","EventRW":"Read"}"#),
    ("AT-LOG-002", "SLS", "DeleteLogStore", r#"{"project":"audit","logstore":"actiontrail_main"}"#),
    ("AT-LOG-004", "Vpc", "DeactiveFlowLog", r#"{"FlowLogId":"fl-story"}"#),
    (
        "AT-LOG-005",
        "Rds",
        "ModifySQLCollectorPolicy",
        r#"{"DBInstanceId":"rm-story","SQLCollectorStatus":"Disabled"}"#,
    ),
    ("AT-DEF-001", "Cloudfw", "PutDisableAllFwSwitch", r#"{"Lang":"zh"}"#),
    ("AT-DEF-001", "Cloudfw", "ModifyDefaultIPSConfig", r#"{"RunMode":"0"}"#),
    ("AT-DEF-002", "Aegis", "AddUninstallClientsByUuids", r#"{"Uuids":"uuid-story"}"#),
    (
        "AT-DEF-003",
        "waf-openapi",
        "ModifyDefenseRuleStatus",
        r#"{"InstanceId":"waf-story","RuleId":"20001","RuleStatus":"0"}"#,
    ),
    ("AT-DEF-003", "ddoscoo", "DisableWebCC", r#"{"Domain":"www.example.com"}"#),
    (
        "AT-NET-001",
        "Ecs",
        "AuthorizeSecurityGroup",
        r#"{"SecurityGroupId":"sg-story","PortRange":"22/22","SourceCidrIp":"0.0.0.0/0"}"#,
    ),
    (
        "AT-NET-001",
        "Ecs",
        "AuthorizeSecurityGroup",
        r#"{"SecurityGroupId":"sg-story","Permissions.1.PortRange":"443/443","Permissions.1.Ipv6SourceCidrIp":"::/0"}"#,
    ),
    (
        "AT-NET-003",
        "Rds",
        "ModifySecurityIps",
        r#"{"DBInstanceId":"rm-story","SecurityIps":"10.0.0.1,0.0.0.0/0"}"#,
    ),
    ("AT-NET-003", "Rds", "AllocateInstancePublicConnection", r#"{"DBInstanceId":"rm-story"}"#),
    ("AT-NET-004", "Vpc", "CreateTrafficMirrorSession", r#"{"TrafficMirrorTargetId":"eni-story"}"#),
    (
        "AT-NET-005",
        "Vpc",
        "AssociateEipAddress",
        r#"{"InstanceId":"i-bp1storyexample00001","AllocationId":"eip-story"}"#,
    ),
    (
        "AT-NET-006",
        "Slb",
        "CreateLoadBalancerHTTPListener",
        r#"{"LoadBalancerId":"lb-story","ListenerPort":"80"}"#,
    ),
    (
        "AT-EXEC-003",
        "Ecs",
        "RunInstances",
        r#"{"ImageId":"m-story","SecurityEnhancementStrategy":"Deactive"}"#,
    ),
    ("AT-DATA-001", "Oss", "PutBucketAcl", r#"{"bucketName":"story","acl":"public-read"}"#),
    (
        "AT-DATA-002",
        "Ecs",
        "ModifyImageSharePermission",
        r#"{"ImageId":"m-story","AddAccount.1":"2000000000000009"}"#,
    ),
    ("AT-DATA-002", "Ecs", "ExportImage", r#"{"ImageId":"m-story","OSSBucket":"elsewhere"}"#),
    ("AT-DATA-003", "Oss", "PutBucketReplication", r#"{"bucketName":"story"}"#),
    (
        "AT-KMS-001",
        "Kms",
        "ScheduleKeyDeletion",
        r#"{"KeyId":"key-story","PendingWindowInDays":"7"}"#,
    ),
    ("AT-KMS-001", "Kms", "DisableKey", r#"{"KeyId":"key-story"}"#),
    (
        "AT-EXEC-001",
        "Ecs",
        "RunCommand",
        r#"{"InstanceId.1":"i-bp1storyexample00001","Type":"RunShellScript"}"#,
    ),
    ("AT-EXEC-001", "Ecs", "StartTerminalSession", r#"{"InstanceId.1":"i-bp1storyexample00001"}"#),
    (
        "AT-EXEC-002",
        "Ecs",
        "AttachInstanceRamRole",
        r#"{"InstanceIds":"[\"i-bp1storyexample00001\"]","RamRoleName":"helper"}"#,
    ),
    (
        "AT-EXEC-002",
        "Ecs",
        "ModifyInstanceAttribute",
        r#"{"InstanceId":"i-bp1storyexample00001","UserData":"***"}"#,
    ),
    ("AT-IMPACT-002", "Ecs", "DeleteAutoSnapshotPolicy", r#"{"autoSnapshotPolicyId":"sp-story"}"#),
    ("AT-IMPACT-002", "Hbr", "DeleteVault", r#"{"VaultId":"v-story"}"#),
    ("AT-IMPACT-003", "Rds", "DeleteDBInstance", r#"{"DBInstanceId":"rm-story"}"#),
    ("AT-IMPACT-003", "R-kvstore", "FlushInstance", r#"{"InstanceId":"r-story"}"#),
    (
        "AT-IMPACT-004",
        "Ecs",
        "ModifyInstanceAttribute",
        r#"{"InstanceId":"i-bp1storyexample00001","DeletionProtection":"false"}"#,
    ),
    (
        "AT-IMPACT-004",
        "Rds",
        "ModifyDBInstanceDeletionProtection",
        r#"{"DBInstanceId":"rm-story","DeletionProtection":"false"}"#,
    ),
    (
        "AT-ECS-002",
        "Ecs",
        "RedeployInstance",
        r#"{"InstanceId":"i-bp1storyexample00001","ForceStop":"true"}"#,
    ),
    ("AT-ECS-003", "Rds", "StopDBInstance", r#"{"DBInstanceId":"rm-story"}"#),
    ("AT-ECS-003", "Eci", "DeleteContainerGroup", r#"{"ContainerGroupId":"eci-story"}"#),
    ("AT-IMPACT-005", "Ecs", "ReInitDisk", r#"{"DiskId":"d-story"}"#),
    ("AT-IMPACT-005", "Ecs", "ReplaceSystemDisk", r#"{"InstanceId":"i-bp1storyexample00001"}"#),
    ("AT-IMPACT-005", "Ecs", "DeleteDisk", r#"{"DiskId":"d-story"}"#),
];

/// Similar calls that are everyday work: service, event name, parameters as JSON.
const HARMLESS: [(&str, &str, &str); 13] = [
    (
        "Ram",
        "UpdateAccessKey",
        r#"{"UserAccessKeyId":"LTAI5tStoryExampleKey0003","Status":"Inactive"}"#,
    ),
    (
        "Ram",
        "AttachPolicyToUser",
        r#"{"PolicyName":"AliyunOSSReadOnlyAccess","UserName":"backup-job"}"#,
    ),
    ("Ims", "SetSecurityPreference", r#"{"MFAOperationForLogin":"mandatory"}"#),
    ("Ims", "SetPasswordPolicy", r#"{"MinimumPasswordLength":"16"}"#),
    ("Actiontrail", "StartLogging", r#"{"Name":"main"}"#),
    (
        "Ecs",
        "AuthorizeSecurityGroup",
        r#"{"SecurityGroupId":"sg-story","PortRange":"22/22","SourceCidrIp":"203.0.113.0/24"}"#,
    ),
    ("Rds", "ModifySecurityIps", r#"{"DBInstanceId":"rm-story","SecurityIps":"10.0.0.0/8"}"#),
    ("Oss", "PutBucketAcl", r#"{"bucketName":"story","acl":"private"}"#),
    ("Kms", "CancelKeyDeletion", r#"{"KeyId":"key-story"}"#),
    ("Cloudfw", "ModifyDefaultIPSConfig", r#"{"RunMode":"1"}"#),
    (
        "waf-openapi",
        "ModifyDefenseRuleStatus",
        r#"{"InstanceId":"waf-story","RuleId":"20001","RuleStatus":"1"}"#,
    ),
    (
        "Ecs",
        "ModifyInstanceAttribute",
        r#"{"InstanceId":"i-bp1storyexample00001","DeletionProtection":"true"}"#,
    ),
    (
        "Ecs",
        "ModifyImageSharePermission",
        r#"{"ImageId":"m-story","RemoveAccount.1":"2000000000000009"}"#,
    ),
];

/// The rule that flags refused calls too: nobody makes these calls by mistake.
const ATTEMPTS_COUNT: &str = "AT-LOG-001";

pub(super) fn generate(story: &mut StoryContext<'_>) {
    let intruder = story.person(0);
    let session = in_console(&intruder, "true", story.start);
    for (step, (rule, service, name, parameters)) in (0..).zip(ATTACK_STEPS) {
        let refused = call(story, &session, service, name, parameters, step * 40)
            .with("errorCode", "Forbidden.RAM")
            .with("errorMessage", "User not authorized to operate on the specified resource.");
        story.add(if rule == ATTEMPTS_COUNT { refused.expect_finding(rule) } else { refused });
        let done =
            call(story, &session, service, name, parameters, step * 40 + 20).expect_finding(rule);
        story.add(done);
    }
    let colleague = story.person(1);
    let session = in_console(&colleague, "true", story.start);
    for (step, (service, name, parameters)) in (0..).zip(HARMLESS) {
        let event = call(story, &session, service, name, parameters, step * 60);
        story.add(event);
    }
}

fn call(
    story: &mut StoryContext<'_>,
    who: &Value,
    service: &str,
    name: &str,
    parameters: &str,
    offset: i64,
) -> EventBuilder {
    // A user of its own for each story: a rule correlates calls on one user within half an hour.
    let parameters = parameters.replace("backup-job", &format!("backup-job-{}", story.number));
    let parameters: Value = serde_json::from_str(&parameters).unwrap_or_default();
    EventBuilder::new(uuid(story.rng), service, name, "cn-hangzhou", story.at(offset))
        .with("eventSource", format!("{}.cn-hangzhou.aliyuncs.com", service.to_lowercase()))
        .with("eventRW", "Write")
        .with("eventCategory", "Management")
        .with("sourceIpAddress", "203.0.113.61")
        .with("userAgent", "Apache-HttpClient/4.5.13 (Java/1.8.0_352)")
        .with("userIdentity", who.clone())
        .with("additionalEventData", json!({ "Scheme": "https", "CallerBid": "26842" }))
        .with("requestParameters", parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_json() {
        let all = ATTACK_STEPS.iter().map(|step| step.3).chain(HARMLESS.iter().map(|call| call.2));
        for parameters in all {
            assert!(
                serde_json::from_str::<Value>(parameters).is_ok_and(|value| value.is_object()),
                "{parameters}"
            );
        }
    }
}
