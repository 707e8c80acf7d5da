//! Calls of the attack on users, roles, permissions and the organization.

use super::steps::{AttackStep, HarmlessCall};

/// The calls in the order of an intrusion.
pub(super) const STEPS: &[AttackStep] = &[
    (
        "AT-CRED-001",
        "Ims",
        "CreateAccessKey",
        r#"{"UserPrincipalName":"night-backup-job@1000000000000001.onaliyun.com"}"#,
    ),
    (
        "AT-IAM-001 AT-PE-001",
        "Ims",
        "AddUserToGroup",
        r#"{"UserPrincipalName":"night-backup-job@1000000000000001.onaliyun.com","GroupName":"Administrators"}"#,
    ),
    (
        "AT-IAM-001",
        "CloudSSO",
        "AddPermissionPolicyToAccessConfiguration",
        r#"{"DirectoryId":"d-00exampledir1","AccessConfigurationId":"ac-story","PermissionPolicyType":"System","PermissionPolicyName":"AdministratorAccess"}"#,
    ),
    (
        "AT-IAM-001",
        "CloudSSO",
        "UpdateInlinePolicyForAccessConfiguration",
        r#"{"AccessConfigurationId":"ac-story","NewInlinePolicyDocument":"{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"oss:GetObject\",\"Resource\":\"acs:oss:*:*:logs/*\"},{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}],\"Version\":\"1\"}"}"#,
    ),
    (
        "AT-IAM-010",
        "CloudSSO",
        "ProvisionAccessConfiguration",
        r#"{"AccessConfigurationId":"ac-story","TargetId":"1000000000000001"}"#,
    ),
    ("AT-IAM-010", "CloudSSO", "AddUserToGroup", r#"{"UserId":"u-story","GroupId":"g-story"}"#),
    (
        "AT-IAM-002",
        "ResourceManager",
        "CreatePolicy",
        r#"{"PolicyName":"helper","PolicyDocument":"{\"Statement\":[{\"Effect\":\"Allow\",\"NotAction\":\"oss:DeleteBucket\",\"Resource\":\"*\"}],\"Version\":\"1\"}"}"#,
    ),
    (
        "AT-IAM-003",
        "Ims",
        "UpdateLoginProfile",
        r#"{"UserPrincipalName":"report-reader@1000000000000001.onaliyun.com","Status":"Active"}"#,
    ),
    (
        "AT-IAM-004",
        "CloudSSO",
        "UpdateMFAAuthenticationSettings",
        r#"{"DirectoryId":"d-00exampledir1","MFAAuthenticationSettings":"Disabled"}"#,
    ),
    (
        "AT-IAM-005",
        "CloudSSO",
        "SetLoginPreference",
        r#"{"DirectoryId":"d-00exampledir1","LoginNetworkMasks":"0.0.0.0/1;128.0.0.0/1"}"#,
    ),
    (
        "AT-IAM-006",
        "CloudSSO",
        "SetPasswordPolicy",
        r#"{"DirectoryId":"d-00exampledir1","MinPasswordLength":"8"}"#,
    ),
    (
        "AT-IAM-007",
        "CloudSSO",
        "AddExternalSAMLIdPCertificate",
        r#"{"DirectoryId":"d-00exampledir1","X509Certificate":"***"}"#,
    ),
    (
        "AT-IAM-008",
        "ResourceManager",
        "CreateRole",
        r#"{"RoleName":"partner","AssumeRolePolicyDocument":"{\"Statement\":[{\"Action\":\"sts:AssumeRole\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":[\"ecs.aliyuncs.com\"]}},{\"Action\":\"sts:AssumeRole\",\"Effect\":\"Allow\",\"Principal\":{\"RAM\":[\"acs:ram::2000000000000009:root\"]}}],\"Version\":\"1\"}"}"#,
    ),
    (
        "AT-IAM-012",
        "Ims",
        "CreateApplication",
        r#"{"AppName":"sync","AppType":"WebApp","RedirectUris":"https://sync.example.net/back"}"#,
    ),
    ("AT-IAM-012", "Ims", "CreateAppSecret", r#"{"AppId":"4000000000000001"}"#),
    (
        "AT-ORG-001",
        "ResourceDirectoryMaster",
        "MoveAccount",
        r#"{"AccountId":"1000000000000003","DestinationFolderId":"fd-story"}"#,
    ),
    ("AT-ORG-001", "ResourceManager", "SetMemberDeletionPermission", r#"{"Status":"Enabled"}"#),
    (
        "AT-ORG-002",
        "VpcPeer",
        "CreateVpcPeerConnection",
        r#"{"VpcId":"vpc-story","AcceptingAliUid":"2000000000000009","AcceptingVpcId":"vpc-elsewhere"}"#,
    ),
    (
        "AT-ORG-002",
        "Cbn",
        "GrantInstanceToTransitRouter",
        r#"{"CenId":"cen-elsewhere","CenOwnerId":"2000000000000009","InstanceId":"vpc-story","InstanceType":"VPC"}"#,
    ),
    (
        "AT-ORG-003",
        "ResourceManager",
        "ChangeAccountEmail",
        r#"{"AccountId":"1000000000000003","Email":"***"}"#,
    ),
    (
        "AT-ORG-003",
        "BssOpenApi",
        "AddAccountRelation",
        r#"{"ParentUserId":"2000000000000009","ChildUserId":"1000000000000003","RelationType":"enterprise_group"}"#,
    ),
    (
        "AT-ORG-006",
        "Tag",
        "UntagResources",
        r#"{"ResourceARN":["arn:acs:oss:*:*:story-0","arn:acs:oss:*:*:story-1","arn:acs:oss:*:*:story-2",
"arn:acs:oss:*:*:story-3","arn:acs:oss:*:*:story-4","arn:acs:oss:*:*:story-5","arn:acs:oss:*:*:story-6",
"arn:acs:oss:*:*:story-7","arn:acs:oss:*:*:story-8","arn:acs:oss:*:*:story-9","arn:acs:oss:*:*:story-10",
"arn:acs:oss:*:*:story-11","arn:acs:oss:*:*:story-12","arn:acs:oss:*:*:story-13",
"arn:acs:oss:*:*:story-14","arn:acs:oss:*:*:story-15","arn:acs:oss:*:*:story-16",
"arn:acs:oss:*:*:story-17","arn:acs:oss:*:*:story-18","arn:acs:oss:*:*:story-19",
"arn:acs:oss:*:*:story-20","arn:acs:oss:*:*:story-21","arn:acs:oss:*:*:story-22",
"arn:acs:oss:*:*:story-23","arn:acs:oss:*:*:story-24","arn:acs:oss:*:*:story-25",
"arn:acs:oss:*:*:story-26","arn:acs:oss:*:*:story-27","arn:acs:oss:*:*:story-28",
"arn:acs:oss:*:*:story-29","arn:acs:oss:*:*:story-30","arn:acs:oss:*:*:story-31",
"arn:acs:oss:*:*:story-32","arn:acs:oss:*:*:story-33","arn:acs:oss:*:*:story-34",
"arn:acs:oss:*:*:story-35","arn:acs:oss:*:*:story-36","arn:acs:oss:*:*:story-37",
"arn:acs:oss:*:*:story-38","arn:acs:oss:*:*:story-39","arn:acs:oss:*:*:story-40",
"arn:acs:oss:*:*:story-41","arn:acs:oss:*:*:story-42","arn:acs:oss:*:*:story-43",
"arn:acs:oss:*:*:story-44","arn:acs:oss:*:*:story-45","arn:acs:oss:*:*:story-46",
"arn:acs:oss:*:*:story-47","arn:acs:oss:*:*:story-48","arn:acs:oss:*:*:story-49"],"TagKey.1":"team"}"#,
    ),
];

/// Calls that resemble them and are everyday work.
pub(super) const HARMLESS: &[HarmlessCall] = &[
    (
        "Ims",
        "RemoveUserFromGroup",
        r#"{"UserPrincipalName":"night-backup-job@1000000000000001.onaliyun.com","GroupName":"Administrators"}"#,
    ),
    (
        "CloudSSO",
        "UpdateMFAAuthenticationSettings",
        r#"{"DirectoryId":"d-00exampledir1","MFAAuthenticationSettings":"Enabled"}"#,
    ),
    ("CloudSSO", "UpdateUserStatus", r#"{"UserId":"u-story","NewStatus":"Disabled"}"#),
    (
        "CloudSSO",
        "SetLoginPreference",
        r#"{"DirectoryId":"d-00exampledir1","LoginNetworkMasks":"203.0.113.0/24"}"#,
    ),
    (
        "CloudSSO",
        "UpdateSCIMServerCredentialStatus",
        r#"{"CredentialId":"c-story","NewStatus":"Disabled"}"#,
    ),
    (
        "Ims",
        "UpdateLoginProfile",
        r#"{"UserPrincipalName":"report-reader@1000000000000001.onaliyun.com","Status":"Inactive"}"#,
    ),
    (
        "Ram",
        "CreateRole",
        r#"{"RoleName":"app","AssumeRolePolicyDocument":"{\"Statement\":[{\"Action\":\"sts:AssumeRole\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":[\"ecs.aliyuncs.com\"]}}],\"Version\":\"1\"}"}"#,
    ),
    ("Ram", "UpdateRole", r#"{"RoleName":"app","NewDescription":"of the batch"}"#),
    ("ResourceManager", "AttachControlPolicy", r#"{"PolicyId":"cp-story","TargetId":"fd-story"}"#),
    (
        "ResourceManager",
        "UpdateAccount",
        r#"{"AccountId":"1000000000000003","NewDisplayName":"dev"}"#,
    ),
    ("VpcPeer", "CreateVpcPeerConnection", r#"{"VpcId":"vpc-story","AcceptingVpcId":"vpc-other"}"#),
    (
        "Quotas",
        "CreateQuotaApplication",
        r#"{"ProductCode":"vpc","QuotaActionCode":"vpc_quota_vpc_num","DesireValue":"20"}"#,
    ),
    ("Tag", "UntagResources", r#"{"ResourceARN":["arn:acs:oss:*:*:story-1"],"TagKey.1":"team"}"#),
];
