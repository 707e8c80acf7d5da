//! What people and applications do beside the pipelines: console work, security work, names and certificates, the engineer
//! on call, users and groups.

use super::routine::Actor::{OnCall, Pod, Program, Staff, Workload};
use super::routine::Home::{Dev, Hub, Prod, ProdOrDev};
use super::routine::Rhythm::{Always, ChangeWindow, Office};
use super::routine::{Department, Routine, Team, call};

const INSTANCE: &str = "ACS::ECS::Instance";

pub(super) const APPLICATIONS: Department = Department {
    name: "Applications",
    routines: &[
        Routine {
            what: "Applications read secrets and decrypt.",
            who: Workload("app-orders"), home: ProdOrDev, when: Always(2_500),
            calls: &[
                call("Kms", "GetSecretValue", r#"{"SecretName":"orders/db"}"#).on("ACS::KMS::Secret", "orders/db"),
                call("Kms", "Decrypt", r#"{"CiphertextBlob":"***"}"#).on("ACS::KMS::Key", "<key>").times(2),
            ],
        },
        Routine {
            what: "Another application does, with two secrets.",
            who: Workload("app-payments"), home: Prod, when: Always(1_200),
            calls: &[
                call("Kms", "GetSecretValue", r#"{"SecretName":"payments/db"}"#).on("ACS::KMS::Secret", "payments/db"),
                call("Kms", "GetSecretValue", r#"{"SecretName":"payments/token"}"#).on("ACS::KMS::Secret", "payments/token"),
            ],
        },
        Routine {
            what: "Functions are invoked.",
            who: Workload("app-web"), home: Prod, when: Always(1_400),
            calls: &[call("FC", "InvokeFunction", r#"{"functionName":"<function>"}"#).on("ACS::FC::Function", "<function>")],
        },
        Routine {
            what: "Mail and text messages are sent.",
            who: Program("svc-mail"), home: Prod, when: Always(900),
            calls: &[
                call("Dm", "SingleSendMail", r#"{"AccountName":"noreply@example.com","AddressType":"1","Subject":"Your order","ToAddress":"***"}"#),
                call("Dysmsapi", "SendSms", r#"{"SignName":"Example","TemplateCode":"SMS_100000001","PhoneNumbers":"***"}"#),
            ],
        },
        Routine {
            what: "Caches are refreshed.",
            who: Workload("app-web"), home: Prod, when: Always(150),
            calls: &[call("Cdn", "RefreshObjectCaches", r#"{"ObjectPath":"https://<rr>.example.com/","ObjectType":"Directory"}"#)],
        },
        Routine {
            what: "Names of services follow their addresses, and those of certificates come and go.",
            who: Workload("external-dns"), home: Prod, when: Always(60),
            calls: &[
                call("Alidns", "DescribeDomainRecords", r#"{"DomainName":"<domain>","PageSize":"500"}"#),
                call("Alidns", "AddDomainRecord", r#"{"DomainName":"<domain>","RR":"_acme-challenge.<rr>","Type":"TXT","Value":"<uuid>"}"#),
                call("Alidns", "DeleteDomainRecord", r#"{"RecordId":"<number>"}"#),
                call("Alidns", "UpdateDomainRecord", r#"{"RecordId":"<number>","RR":"<rr>","Type":"A","Value":"192.0.2.20","TTL":"600"}"#),
            ],
        },
        Routine {
            what: "Certificates are renewed and rolled out.",
            who: Workload("cert-manager"), home: Prod, when: Office(26),
            calls: &[
                call("Cas", "ListUserCertificateOrder", r#"{"OrderType":"UPLOAD"}"#),
                call("Cas", "UploadUserCertificate", r#"{"Name":"<rr>-<month>-<random>","Cert":"***","Key":"***"}"#),
                call("Cas", "GetUserCertificateDetail", r#"{"CertId":"<number>"}"#),
                call("Cdn", "SetCdnDomainSSLCertificate", r#"{"DomainName":"<rr>.<domain>","CertId":"<number>","CertType":"cas","SSLProtocol":"on"}"#),
                call("Alb", "UpdateListenerAttribute", r#"{"ListenerId":"<lsn>","Certificates.1.CertificateId":"<number>-<region>"}"#).on("ACS::ALB::Listener", "<lsn>"),
            ],
        },
        Routine {
            what: "Pods of the search read and write their log stores.",
            who: Pod("search"), home: ProdOrDev, when: Always(200),
            calls: &[call("Sts", "AssumeRoleWithOIDC", r#"{"RoleArn":"acs:ram::<account>:role/app-search","OIDCProviderArn":"acs:ram::<account>:oidc-provider/ack-rrsa-<c>","RoleSessionName":"search","DurationSeconds":"3600"}"#).on("ACS::RAM::Role", "app-search")],
        },
        Routine {
            what: "A program with a key ships logs.",
            who: Program("svc-logs"), home: Prod, when: Always(1_200),
            calls: &[
                call("SLS", "GetLogStore", r#"{"project":"<project>","logstore":"<logstore>"}"#),
                call("SLS", "GetLogs", r#"{"project":"<project>","logstore":"<logstore>","query":"*","line":"100"}"#),
            ],
        },
    ],
};

pub(super) const CONSOLE: Department = Department {
    name: "Work in the console",
    routines: &[
        Routine {
            what: "Developers look around in the development account.",
            who: Staff(Team::Developers), home: Dev, when: Office(420),
            calls: &[
                call("Ecs", "DescribeInstances", r#"{"PageSize":"20"}"#),
                call("Ecs", "DescribeInstanceStatus", r#"{"PageSize":"20"}"#),
                call("Cms", "DescribeMetricList", r#"{"Namespace":"acs_ecs_dashboard","MetricName":"CPUUtilization"}"#).times(3),
                call("SLS", "GetLogs", r#"{"project":"<project>","logstore":"<logstore>","query":"level: error","line":"20"}"#).times(2),
            ],
        },
        Routine {
            what: "Developers look at production: logs and metrics.",
            who: Staff(Team::Developers), home: Prod, when: Office(240),
            calls: &[
                call("SLS", "GetLogs", r#"{"project":"<project>","logstore":"<logstore>","query":"status: 500","line":"20"}"#).times(3),
                call("Cms", "DescribeMetricList", r#"{"Namespace":"acs_k8s","MetricName":"pod.memory"}"#).times(2),
                call("Slb", "DescribeHealthStatus", r#"{"LoadBalancerId":"<lb>"}"#),
            ],
        },
        Routine {
            what: "A page asks for more than its reader may see: several calls are refused at once.",
            who: Staff(Team::Developers), home: Prod, when: Office(15),
            calls: &[
                call("Ecs", "DescribeInstances", r#"{"PageSize":"20"}"#),
                call("Sas", "DescribeVersionConfig", "{}").refused("NoPermission"),
                call("Kms", "ListKeys", "{}").refused("Forbidden.NoPermission"),
                call("Ram", "ListUsers", "{}").refused("NoPermission"),
                call("Rds", "DescribeDBInstances", r#"{"PageSize":"30"}"#).refused("Forbidden.RAM"),
            ],
        },
        Routine {
            what: "Developers open a port of their test group for the office.",
            who: Staff(Team::Developers), home: Dev, when: Office(24),
            calls: &[
                call("Ecs", "DescribeSecurityGroups", r#"{"PageSize":"20"}"#),
                call("Ecs", "AuthorizeSecurityGroup", r#"{"SecurityGroupId":"<sg>","Permissions.1.IpProtocol":"TCP","Permissions.1.PortRange":"8080/8080","Permissions.1.SourceCidrIp":"203.0.113.0/24"}"#).on("ACS::ECS::SecurityGroup", "<sg>"),
            ],
        },
        Routine {
            what: "Developers reach machines through the bastion host.",
            who: Staff(Team::Developers), home: ProdOrDev, when: Office(50),
            calls: &[
                call("Yundun-bastionhost", "ListHosts", r#"{"InstanceId":"bastionhost-example"}"#),
                call("Yundun-bastionhost", "GenerateAssetOperationToken", r#"{"InstanceId":"bastionhost-example","AssetId":"<number>","AssetType":"Host","AssetAccountName":"deploy"}"#),
            ],
        },
        Routine {
            what: "The data team and operations set tags and names.",
            who: Staff(Team::Operations), home: ProdOrDev, when: Office(60),
            calls: &[
                call("Ecs", "TagResources", r#"{"ResourceType":"instance","ResourceId.1":"<i>","Tag.1.Key":"team","Tag.1.Value":"<app>"}"#).on(INSTANCE, "<i>"),
                call("Ecs", "UntagResources", r#"{"ResourceType":"instance","ResourceId.1":"<i>","TagKey.1":"owner"}"#).on(INSTANCE, "<i>"),
                call("Ecs", "ModifyInstanceAttribute", r#"{"InstanceId":"<i>","Description":"<app>"}"#).on(INSTANCE, "<i>"),
            ],
        },
        Routine {
            what: "Operations ask for a higher quota.",
            who: Staff(Team::Operations), home: Prod, when: Office(1),
            calls: &[call("Quotas", "CreateQuotaApplication", r#"{"ProductCode":"ecs","QuotaActionCode":"q_instance_count","DesireValue":"200","Reason":"sale"}"#)],
        },
    ],
};

pub(super) const SECURITY: Department = Department {
    name: "Security",
    routines: &[
        Routine {
            what: "Alerts are read and handled.",
            who: Staff(Team::Security),
            home: Prod,
            when: Office(40),
            calls: &[
                call(
                    "Sas",
                    "DescribeSuspEvents",
                    r#"{"CurrentPage":"1","PageSize":"20","Dealed":"N"}"#,
                ),
                call("Sas", "DescribeVulList", r#"{"Type":"cve","PageSize":"20"}"#),
                call(
                    "Sas",
                    "HandleSecurityEvents",
                    r#"{"SecurityEventIds.1":"<number>","OperationCode":"manual_handled","Remark":"checked"}"#,
                ),
            ],
        },
        Routine {
            what: "Agents that were paused for maintenance are switched on again.",
            who: Staff(Team::Security),
            home: ProdOrDev,
            when: Office(26),
            calls: &[
                call(
                    "Sas",
                    "DescribeCloudCenterInstances",
                    r#"{"Criteria":"[{\"name\":\"clientStatus\",\"value\":\"pause\"}]"}"#,
                ),
                call("Sas", "PauseClient", r#"{"Uuids":"inet-<uuid>","Value":"1"}"#),
                call(
                    "Sas",
                    "OperateSuspiciousOverallConfig",
                    r#"{"Type":"auto_breaking","Config":"on"}"#,
                ),
            ],
        },
        Routine {
            what: "The second factor is made mandatory for more users.",
            who: Staff(Team::Security),
            home: Prod,
            when: Office(2),
            calls: &[
                call(
                    "CloudSSO",
                    "UpdateMFAAuthenticationSettings",
                    r#"{"DirectoryId":"d-00example","MFAAuthenticationSettings":"Enabled"}"#,
                ),
                call("Ims", "SetSecurityPreference", r#"{"MFAOperationForLogin":"mandatory"}"#),
            ],
        },
        Routine {
            what: "Addresses that attack are blocked by the firewalls.",
            who: Workload("soar"),
            home: Prod,
            when: Always(60),
            calls: &[
                call(
                    "Cloudfw",
                    "AddControlPolicy",
                    r#"{"AclAction":"drop","Direction":"in","Source":"<bad-ip>/32","SourceType":"net","Destination":"0.0.0.0/0","DestinationType":"net","Proto":"ANY","ApplicationName":"ANY","NewOrder":"1","Description":"blocked"}"#,
                ),
                call(
                    "Waf-openapi",
                    "ModifyDefenseRule",
                    r#"{"InstanceId":"waf-example","DefenseScene":"ip_blacklist","Rules":"[{\"id\":20001,\"remoteAddr\":[\"<bad-ip>\"],\"action\":\"block\"}]"}"#,
                ),
            ],
        },
        Routine {
            what: "Rules of the web firewall are switched on after a week of observation.",
            who: Staff(Team::Security),
            home: Prod,
            when: Office(25),
            calls: &[
                call(
                    "Waf-openapi",
                    "DescribeDefenseRules",
                    r#"{"InstanceId":"waf-example","PageSize":"20"}"#,
                ),
                call(
                    "Waf-openapi",
                    "ModifyDefenseRuleStatus",
                    r#"{"InstanceId":"waf-example","RuleId":"<number>","RuleStatus":"1"}"#,
                ),
            ],
        },
    ],
};

pub(super) const IDENTITY: Department = Department {
    name: "Users and groups",
    routines: &[
        Routine {
            what: "The identity provider's program moves people between the groups of projects.",
            who: Program("svc-idp-sync"),
            home: ProdOrDev,
            when: Always(40),
            calls: &[
                call("Ims", "ListUsers", r#"{"MaxItems":"100"}"#),
                call(
                    "Ims",
                    "AddUserToGroup",
                    r#"{"GroupName":"<group>","UserPrincipalName":"user-<random>@example.onaliyun.com"}"#,
                ),
                call(
                    "Ims",
                    "RemoveUserFromGroup",
                    r#"{"GroupName":"<group2>","UserPrincipalName":"user-<random>@example.onaliyun.com"}"#,
                ),
            ],
        },
        Routine {
            what: "People join and leave.",
            who: Program("svc-idp-sync"),
            home: ProdOrDev,
            when: Office(4),
            calls: &[
                call(
                    "Ims",
                    "CreateUser",
                    r#"{"UserPrincipalName":"user-<random>@example.onaliyun.com","DisplayName":"New colleague"}"#,
                ),
                call(
                    "Ims",
                    "AddUserToGroup",
                    r#"{"GroupName":"readers","UserPrincipalName":"user-<random>@example.onaliyun.com"}"#,
                ),
                call(
                    "Ram",
                    "AttachPolicyToUser",
                    r#"{"PolicyType":"System","PolicyName":"AliyunLogReadOnlyAccess","UserName":"user-<random>"}"#,
                ),
                call(
                    "Ims",
                    "DeleteUser",
                    r#"{"UserPrincipalName":"left-<uuid>@example.onaliyun.com"}"#,
                ),
            ],
        },
    ],
};

pub(super) const ON_CALL: Department = Department {
    name: "On call",
    routines: &[
        Routine {
            what: "The engineer on call looks at what the alarm says.",
            who: OnCall, home: Prod, when: Always(12),
            calls: &[
                call("Cms", "DescribeMetricList", r#"{"Namespace":"acs_ecs_dashboard","MetricName":"CPUUtilization"}"#).times(4),
                call("Ecs", "DescribeInstanceAttribute", r#"{"InstanceId":"<i>"}"#),
                call("SLS", "GetLogs", r#"{"project":"<project>","logstore":"<logstore>","query":"level: error","line":"100"}"#).times(4),
                call("Rds", "DescribeDBInstancePerformance", r#"{"DBInstanceId":"<rm>","Key":"MySQL_QPSTPS"}"#),
            ],
        },
        Routine {
            what: "Restarts in the change window: instances and a database.",
            who: OnCall, home: Prod, when: ChangeWindow(2),
            calls: &[
                call("Ecs", "RebootInstance", r#"{"InstanceId":"<each-i>","ForceStop":"false"}"#).on(INSTANCE, "<each-i>").times(3),
                call("Rds", "RestartDBInstance", r#"{"DBInstanceId":"<rm>"}"#).on("ACS::RDS::DBInstance", "<rm>"),
            ],
        },
        Routine {
            what: "A machine hangs and is restarted by hand, outside of any window.",
            who: OnCall, home: Prod, when: Always(1),
            calls: &[
                call("Ecs", "DescribeInstances", r#"{"InstanceIds":"[\"<i>\"]"}"#),
                call("Ecs", "RebootInstance", r#"{"InstanceId":"<i>","ForceStop":"false"}"#).on(INSTANCE, "<i>"),
            ],
        },
        Routine {
            what: "A disk is full: it is enlarged, and a snapshot taken before.",
            who: OnCall, home: Prod, when: Always(2),
            calls: &[
                call("Ecs", "CreateSnapshot", r#"{"DiskId":"<d>","RetentionDays":"3"}"#).on("ACS::ECS::Snapshot", "<new-snap>"),
                call("Ecs", "ResizeDisk", r#"{"DiskId":"<d>","NewSize":"200","Type":"online"}"#).on("ACS::ECS::Disk", "<d>"),
            ],
        },
        Routine {
            what: "The engineer opens a terminal on a machine that the bastion host does not reach.",
            who: OnCall, home: Prod, when: Always(1),
            calls: &[call("Ecs", "StartTerminalSession", r#"{"InstanceId.1":"<i>","ConnectionType":"Intranet"}"#).on(INSTANCE, "<i>")],
        },
        Routine {
            what: "The hub's people look after users in the hub.",
            who: OnCall, home: Hub, when: Always(5),
            calls: &[
                call("Ram", "ListUsers", r#"{"MaxItems":"100"}"#),
                call("Ram", "GetUserMFAInfo", r#"{"UserName":"<app>"}"#),
            ],
        },
    ],
};
