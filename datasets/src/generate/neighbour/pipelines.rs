//! Pipelines: Terraform makes, changes and removes everything that the company owns, and audits read it.

use super::routine::Actor::{Inventory, Pipeline, Program};
use super::routine::Home::{Dev, Hub, Prod, ProdOrDev};
use super::routine::Rhythm::{Always, Hourly, Office};
use super::routine::{Department, Routine, call};

const INSTANCE: &str = "ACS::ECS::Instance";
const SG: &str = "ACS::ECS::SecurityGroup";
const BUCKET: &str = "ACS::OSS::Bucket";

pub(super) const TERRAFORM: Department = Department {
    name: "Terraform",
    routines: &[
        Routine {
            what: "A test environment is applied: network, role, instance, address, bucket, database, log store.",
            who: Pipeline, home: Dev, when: Office(40),
            calls: &[
                call("Vpc", "CreateVSwitch", r#"{"VpcId":"<vpc>","CidrBlock":"10.9.<n>.0/24","ZoneId":"<region>-i"}"#).on("ACS::VPC::VSwitch", "<new-vsw>"),
                call("Ecs", "CreateSecurityGroup", r#"{"VpcId":"<vpc>","SecurityGroupName":"test-<random>"}"#).on(SG, "<new-sg>"),
                call("Ecs", "AuthorizeSecurityGroup", r#"{"SecurityGroupId":"<new-sg>","Permissions.1.IpProtocol":"TCP","Permissions.1.PortRange":"22/22","Permissions.1.SourceCidrIp":"10.0.0.0/8"}"#).on(SG, "<new-sg>"),
                call("Ecs", "AuthorizeSecurityGroup", r#"{"SecurityGroupId":"<new-sg>","Permissions.1.IpProtocol":"TCP","Permissions.1.PortRange":"443/443","Permissions.1.SourceCidrIp":"203.0.113.0/24"}"#).on(SG, "<new-sg>"),
                call("Ecs", "AuthorizeSecurityGroupEgress", r#"{"SecurityGroupId":"<new-sg>","Permissions.1.IpProtocol":"TCP","Permissions.1.PortRange":"443/443","Permissions.1.DestCidrIp":"0.0.0.0/0"}"#).on(SG, "<new-sg>"),
                call("Ram", "CreateRole", r#"{"RoleName":"test-<random>","AssumeRolePolicyDocument":"{\"Version\":\"1\",\"Statement\":[{\"Action\":\"sts:AssumeRole\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":[\"ecs.aliyuncs.com\"]}}]}"}"#).on("ACS::RAM::Role", "test-<random>"),
                call("Ram", "CreatePolicy", r#"{"PolicyName":"test-<random>","PolicyDocument":"{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"oss:GetObject\",\"Resource\":\"acs:oss:*:*:example-test-<random>/*\"}]}"}"#),
                call("Ram", "AttachPolicyToRole", r#"{"PolicyType":"Custom","PolicyName":"test-<random>","RoleName":"test-<random>"}"#),
                call("Ecs", "ImportKeyPair", r#"{"KeyPairName":"test-<random>","PublicKeyBody":"***"}"#),
                call("Ecs", "RunInstances", r#"{"Amount":"1","InstanceType":"ecs.c7.large","ImageId":"<img>","SecurityGroupId":"<new-sg>","VSwitchId":"<new-vsw>","KeyPairName":"test-<random>","SecurityEnhancementStrategy":"Active"}"#).on(INSTANCE, "<new-i>"),
                call("Ecs", "AttachInstanceRamRole", r#"{"InstanceIds":"[\"<new-i>\"]","RamRoleName":"test-<random>"}"#).on(INSTANCE, "<new-i>"),
                call("Vpc", "AllocateEipAddress", r#"{"Bandwidth":"5","InternetChargeType":"PayByTraffic"}"#).on("ACS::EIP::EipAddress", "<new-eip>"),
                call("Vpc", "AssociateEipAddress", r#"{"AllocationId":"<new-eip>","InstanceId":"<new-i>","InstanceType":"EcsInstance"}"#).on("ACS::EIP::EipAddress", "<new-eip>"),
                call("Oss", "PutBucket", "").on(BUCKET, "example-test-<random>"),
                call("Oss", "PutBucketAcl", "").on(BUCKET, "example-test-<random>"),
                call("Oss", "PutBucketEncryption", "").on(BUCKET, "example-test-<random>"),
                call("Oss", "PutBucketLifecycle", "").on(BUCKET, "example-test-<random>"),
                call("Rds", "CreateDBInstance", r#"{"Engine":"MySQL","EngineVersion":"8.0","DBInstanceClass":"mysql.n2.medium.1","DBInstanceStorage":"50","SecurityIPList":"10.0.0.0/8","PayType":"Postpaid"}"#).on("ACS::RDS::DBInstance", "<new-rm>"),
                call("Rds", "CreateAccount", r#"{"DBInstanceId":"<new-rm>","AccountName":"app","AccountType":"Normal","AccountPassword":"***"}"#).on("ACS::RDS::DBInstance", "<new-rm>"),
                call("Rds", "GrantAccountPrivilege", r#"{"DBInstanceId":"<new-rm>","AccountName":"app","DBName":"app","AccountPrivilege":"ReadWrite"}"#).on("ACS::RDS::DBInstance", "<new-rm>"),
                call("SLS", "CreateLogStore", r#"{"project":"test-<random>","body":"{\"logstoreName\":\"app\",\"ttl\":30,\"shardCount\":2}"}"#),
            ],
        },
        Routine {
            what: "A test environment is destroyed.",
            who: Pipeline, home: Dev, when: Office(36),
            calls: &[
                call("SLS", "DeleteLogStore", r#"{"project":"test-<random>","logstore":"app"}"#),
                call("Rds", "DeleteDBInstance", r#"{"DBInstanceId":"<new-rm>","ReleasedKeepPolicy":"None"}"#).on("ACS::RDS::DBInstance", "<new-rm>"),
                call("Vpc", "UnassociateEipAddress", r#"{"AllocationId":"<new-eip>","InstanceId":"<new-i>"}"#).on("ACS::EIP::EipAddress", "<new-eip>"),
                call("Vpc", "ReleaseEipAddress", r#"{"AllocationId":"<new-eip>"}"#).on("ACS::EIP::EipAddress", "<new-eip>"),
                call("Ecs", "DeleteInstance", r#"{"InstanceId":"<new-i>","Force":"true"}"#).on(INSTANCE, "<new-i>"),
                call("Ecs", "DeleteDisk", r#"{"DiskId":"<new-d>"}"#).on("ACS::ECS::Disk", "<new-d>"),
                call("Ram", "DetachPolicyFromRole", r#"{"PolicyType":"Custom","PolicyName":"test-<random>","RoleName":"test-<random>"}"#),
                call("Ram", "DeletePolicy", r#"{"PolicyName":"test-<random>"}"#),
                call("Ram", "DeleteRole", r#"{"RoleName":"test-<random>"}"#),
                call("Ecs", "DeleteKeyPairs", r#"{"KeyPairNames":"[\"test-<random>\"]"}"#),
                call("Ecs", "DeleteSecurityGroup", r#"{"SecurityGroupId":"<new-sg>"}"#).on(SG, "<new-sg>"),
                call("Vpc", "DeleteVSwitch", r#"{"VSwitchId":"<new-vsw>"}"#).on("ACS::VPC::VSwitch", "<new-vsw>"),
                call("Oss", "DeleteBucket", "").on(BUCKET, "example-test-<random>"),
                call("Kms", "ScheduleKeyDeletion", r#"{"KeyId":"<new-key>","PendingWindowInDays":"30"}"#).on("ACS::KMS::Key", "<new-key>"),
            ],
        },
        Routine {
            what: "A plan reads the state of everything.",
            who: Pipeline, home: ProdOrDev, when: Office(120),
            calls: &[
                call("Sts", "GetCallerIdentity", "{}"),
                call("Ecs", "DescribeInstances", r#"{"PageSize":"100"}"#),
                call("Ecs", "DescribeSecurityGroupAttribute", r#"{"SecurityGroupId":"<each-sg>"}"#).times(8),
                call("Vpc", "DescribeVSwitches", r#"{"VpcId":"<vpc>"}"#),
                call("Rds", "DescribeDBInstanceAttribute", r#"{"DBInstanceId":"<each-rm>"}"#).times(5),
                call("Ram", "GetPolicy", r#"{"PolicyName":"app-<each-app>","PolicyType":"Custom"}"#).times(5),
                call("Ram", "GetRole", r#"{"RoleName":"app-<each-app>"}"#).times(5),
                call("Slb", "DescribeLoadBalancerAttribute", r#"{"LoadBalancerId":"<each-lb>"}"#).times(4),
                call("Oss", "GetBucketInfo", "").on(BUCKET, "example-<bucket>"),
                call("Actiontrail", "DescribeTrails", "{}"),
            ],
        },
        Routine {
            what: "Production changes by pull request: rules, routes, policies, whitelists, backups, alarms.",
            who: Pipeline, home: Prod, when: Office(30),
            calls: &[
                call("Ecs", "AuthorizeSecurityGroup", r#"{"SecurityGroupId":"<sg>","Permissions.1.IpProtocol":"TCP","Permissions.1.PortRange":"443/443","Permissions.1.SourceCidrIp":"0.0.0.0/0"}"#).on(SG, "<sg>"),
                call("Ecs", "RevokeSecurityGroup", r#"{"SecurityGroupId":"<sg>","Permissions.1.IpProtocol":"TCP","Permissions.1.PortRange":"8443/8443","Permissions.1.SourceCidrIp":"10.0.0.0/8"}"#).on(SG, "<sg>"),
                call("Vpc", "CreateRouteEntry", r#"{"RouteTableId":"<vtb>","DestinationCidrBlock":"10.<n>.0.0/16","NextHopType":"Attachment","NextHopId":"tr-attach-example"}"#).on("ACS::VPC::RouteTable", "<vtb>"),
                call("Vpc", "CreateSnatEntry", r#"{"SnatTableId":"<stb>","SourceVSwitchId":"<vsw>","SnatIp":"192.0.2.20"}"#).on("ACS::VPC::NatGateway", "<ngw>"),
                call("Ram", "CreatePolicyVersion", r#"{"PolicyName":"app-<app>","SetAsDefault":"true","PolicyDocument":"{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":[\"oss:GetObject\",\"oss:PutObject\"],\"Resource\":\"acs:oss:*:*:example-<bucket>/*\"}]}"}"#),
                call("Ram", "DeletePolicyVersion", r#"{"PolicyName":"app-<app>","VersionId":"v<n>"}"#),
                call("Ram", "UpdateRole", r#"{"RoleName":"app-<app>","NewAssumeRolePolicyDocument":"{\"Version\":\"1\",\"Statement\":[{\"Action\":\"sts:AssumeRole\",\"Effect\":\"Allow\",\"Principal\":{\"RAM\":[\"acs:ram::<hub-account>:root\"]}}]}"}"#).on("ACS::RAM::Role", "app-<app>"),
                call("Rds", "ModifyBackupPolicy", r#"{"DBInstanceId":"<rm>","BackupPolicyMode":"DataBackupPolicy","BackupRetentionPeriod":"30","PreferredBackupTime":"18:00Z-19:00Z"}"#).on("ACS::RDS::DBInstance", "<rm>"),
                call("Rds", "ModifyDBInstanceDeletionProtection", r#"{"DBInstanceId":"<rm>","DeletionProtection":"true"}"#).on("ACS::RDS::DBInstance", "<rm>"),
                call("SLS", "UpdateLogStore", r#"{"project":"<project>","logstore":"<logstore>","body":"{\"logstoreName\":\"<logstore>\",\"ttl\":180,\"shardCount\":4}"}"#),
                call("SLS", "UpdateIndex", r#"{"project":"<project>","logstore":"<logstore>","body":"{\"line\":{\"caseSensitive\":false}}"}"#),
                call("SLS", "UpdateAlert", r#"{"project":"<project>","alertName":"<rule>","body":"{\"name\":\"<rule>\",\"status\":\"ENABLED\"}"}"#),
                call("Alb", "CreateListener", r#"{"LoadBalancerId":"<alb>","ListenerProtocol":"HTTPS","ListenerPort":"443","SecurityPolicyId":"tls_cipher_policy_1_2_strict"}"#).on("ACS::ALB::LoadBalancer", "<alb>"),
            ],
        },
        Routine {
            what: "Keys of programs are rotated: a new one, the old one off, later deleted.",
            who: Pipeline, home: ProdOrDev, when: Office(3),
            calls: &[
                call("Ram", "CreateAccessKey", r#"{"UserName":"svc-<app>"}"#),
                call("Ram", "UpdateAccessKey", r#"{"UserName":"svc-<app>","UserAccessKeyId":"LTAI5tRotated<number>","Status":"Inactive"}"#),
                call("Ram", "DeleteAccessKey", r#"{"UserName":"svc-<app>","UserAccessKeyId":"LTAI5tRotated<number>"}"#),
            ],
        },
        Routine {
            what: "The landing zone is applied: sign-in settings, password policy, trail, all as they are.",
            who: Pipeline, home: Hub, when: Office(2),
            calls: &[
                call("Ims", "SetSecurityPreference", r#"{"MFAOperationForLogin":"mandatory","EnableSaveMFATicket":"true","AllowUserToChangePassword":"true","AllowUserToManageAccessKeys":"false","LoginSessionDuration":"6"}"#),
                call("Ims", "SetPasswordPolicy", r#"{"MinimumPasswordLength":"14","RequireLowercaseCharacters":"true","RequireUppercaseCharacters":"true","RequireNumbers":"true","RequireSymbols":"true","HardExpire":"false","MaxPasswordAge":"90","PasswordReusePrevention":"8","MaxLoginAttemps":"5"}"#),
                call("Actiontrail", "UpdateTrail", r#"{"Name":"company","EventRW":"All","TrailRegion":"All","OssBucketName":"example-audit","OssKeyPrefix":"trail"}"#).on("ACS::ActionTrail::Trail", "company"),
                call("ResourceManager", "ListAccounts", "{}"),
            ],
        },
        Routine {
            what: "Stacks of the orchestration service are made and removed for tests.",
            who: Pipeline, home: Dev, when: Office(25),
            calls: &[
                call("Ros", "CreateStack", r#"{"StackName":"test-<random>","TemplateBody":"***","TimeoutInMinutes":"60"}"#).on("ACS::ROS::Stack", "test-<random>"),
                call("Ros", "DeleteStack", r#"{"StackId":"<uuid>"}"#).on("ACS::ROS::Stack", "<uuid>"),
            ],
        },
    ],
};

pub(super) const AUDIT: Department = Department {
    name: "Inventory and audit from the hub",
    routines: &[
        Routine {
            what: "The hub's inventory assumes a role in prod every hour and reads.",
            who: Inventory,
            home: Prod,
            when: Hourly,
            calls: &[
                call("Sts", "GetCallerIdentity", "{}"),
                call("Ecs", "DescribeInstances", r#"{"PageSize":"100","PageNumber":"<n>"}"#)
                    .times(3),
                call("Ram", "ListUsers", r#"{"MaxItems":"100"}"#),
                call("Ram", "ListPoliciesForUser", r#"{"UserName":"svc-<each-app>"}"#).times(3),
                call("Config", "ListConfigRules", "{}"),
                call("Oss", "GetBucketAcl", "").on(BUCKET, "example-<each-bucket>").times(3),
            ],
        },
        Routine {
            what: "The same in dev.",
            who: Inventory,
            home: Dev,
            when: Hourly,
            calls: &[
                call("Sts", "GetCallerIdentity", "{}"),
                call("Ecs", "DescribeInstances", r#"{"PageSize":"100","PageNumber":"<n>"}"#)
                    .times(2),
                call("Rds", "DescribeDBInstances", r#"{"PageSize":"100"}"#),
                call("Ram", "ListRoles", r#"{"MaxItems":"100"}"#),
            ],
        },
        Routine {
            what: "A monitoring program with a key reads metrics every few minutes.",
            who: Program("svc-monitoring"),
            home: Prod,
            when: Always(5_000),
            calls: &[call(
                "Cms",
                "DescribeMetricList",
                r#"{"Namespace":"acs_ecs_dashboard","MetricName":"CPUUtilization","Period":"60"}"#,
            )],
        },
        Routine {
            what: "The same program is slowed down by the vendor now and then.",
            who: Program("svc-monitoring"),
            home: Prod,
            when: Always(30),
            calls: &[call(
                "Cms",
                "DescribeMetricLast",
                r#"{"Namespace":"acs_slb_dashboard","MetricName":"Qps"}"#,
            )
            .refused("Throttling.User")
            .times(3)],
        },
        Routine {
            what: "The trail is read by the log platform.",
            who: Program("svc-logs"),
            home: Hub,
            when: Always(420),
            calls: &[
                call("Actiontrail", "LookupEvents", r#"{"MaxResults":"50"}"#),
                call(
                    "SLS",
                    "GetLogs",
                    r#"{"project":"audit","logstore":"actiontrail_company","query":"*","line":"100"}"#,
                ),
            ],
        },
        Routine {
            what: "The credential report is made for the audit.",
            who: Inventory,
            home: Prod,
            when: Office(5),
            calls: &[
                call("Ims", "GenerateCredentialReport", "{}"),
                call("Ims", "GetCredentialReport", r#"{"MaxItems":"1000"}"#),
            ],
        },
    ],
};
