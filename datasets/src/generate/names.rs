//! The values that traffic is made of. Accounts, keys and names are invented; addresses come from the ranges reserved for
//! documentation.

/// Regions with their share of the traffic, in percent.
pub(super) const REGIONS: [(&str, u64); 5] = [
    ("cn-hangzhou", 46),
    ("cn-shanghai", 24),
    ("cn-beijing", 15),
    ("ap-southeast-1", 10),
    ("us-west-1", 5),
];

/// The zone prefix of instance ids in `region`.
pub(super) fn zone_prefix(region: &str) -> &'static str {
    match region {
        "cn-hangzhou" => "bp1",
        "cn-shanghai" => "uf6",
        "cn-beijing" => "2ze",
        "ap-southeast-1" => "t4n",
        _ => "rj9",
    }
}

/// Account ids of the company.
pub(super) const ACCOUNTS: [&str; 3] = ["1000000000000001", "1000000000000002", "1000000000000003"];

/// A call of the background traffic: service, endpoint, API version, event name, `Read` or `Write`, resource type, prefix of
/// the resource ids.
pub(super) type ApiCall = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// Calls in order of frequency.
pub(super) const CALLS: [ApiCall; 56] = [
    ("Ecs", "ecs", "2014-05-26", "DescribeInstances", "Read", "ACS::ECS::Instance", "i-"),
    ("Sts", "sts", "2015-04-01", "AssumeRole", "Write", "ACS::RAM::Role", "role-"),
    ("Cms", "metrics", "2019-01-01", "DescribeMetricList", "Read", "ACS::CMS::Metric", "m-"),
    ("Slb", "slb", "2014-05-15", "DescribeLoadBalancers", "Read", "ACS::SLB::LoadBalancer", "lb-"),
    ("Rds", "rds", "2014-08-15", "DescribeDBInstances", "Read", "ACS::RDS::DBInstance", "rm-"),
    ("Oss", "oss", "2019-05-17", "GetBucketInfo", "Read", "ACS::OSS::Bucket", "bucket-"),
    ("SLS", "log", "2020-12-30", "GetLogStore", "Read", "ACS::SLS::LogStore", "store-"),
    ("Vpc", "vpc", "2016-04-28", "DescribeVSwitches", "Read", "ACS::VPC::VSwitch", "vsw-"),
    (
        "Ecs",
        "ecs",
        "2014-05-26",
        "DescribeSecurityGroups",
        "Read",
        "ACS::ECS::SecurityGroup",
        "sg-",
    ),
    ("Ram", "ram", "2015-05-01", "GetUser", "Read", "ACS::RAM::User", "user-"),
    ("Kms", "kms", "2016-01-20", "Decrypt", "Read", "ACS::KMS::Key", "key-"),
    (
        "Actiontrail",
        "actiontrail",
        "2020-07-06",
        "LookupEvents",
        "Read",
        "ACS::ActionTrail::Trail",
        "trail-",
    ),
    ("Ecs", "ecs", "2014-05-26", "DescribeDisks", "Read", "ACS::ECS::Disk", "d-"),
    ("Ess", "ess", "2014-08-28", "DescribeScalingGroups", "Read", "ACS::ESS::ScalingGroup", "asg-"),
    ("Cs", "cs", "2015-12-15", "DescribeClusterDetail", "Read", "ACS::CS::Cluster", "c"),
    (
        "R-kvstore",
        "r-kvstore",
        "2015-01-01",
        "DescribeInstances",
        "Read",
        "ACS::Redis::DBInstance",
        "r-",
    ),
    (
        "PolarDB",
        "polardb",
        "2017-08-01",
        "DescribeDBClusters",
        "Read",
        "ACS::PolarDB::DBCluster",
        "pc-",
    ),
    ("Ecs", "ecs", "2014-05-26", "CreateSnapshot", "Write", "ACS::ECS::Snapshot", "s-"),
    ("Ecs", "ecs", "2014-05-26", "TagResources", "Write", "ACS::ECS::Instance", "i-"),
    ("Cr", "cr", "2018-12-01", "ListRepoTag", "Read", "ACS::CR::Repository", "crr-"),
    ("Alb", "alb", "2020-06-16", "ListLoadBalancers", "Read", "ACS::ALB::LoadBalancer", "alb-"),
    ("Ims", "ims", "2019-08-15", "GetDefaultDomain", "Read", "ACS::RAM::Domain", "domain-"),
    ("Kms", "kms", "2016-01-20", "GetSecretValue", "Read", "ACS::KMS::Secret", "secret-"),
    ("Ecs", "ecs", "2014-05-26", "StartInstance", "Write", "ACS::ECS::Instance", "i-"),
    ("Ecs", "ecs", "2014-05-26", "RunInstances", "Write", "ACS::ECS::Instance", "i-"),
    ("Vpc", "vpc", "2016-04-28", "AllocateEipAddress", "Write", "ACS::EIP::EipAddress", "eip-"),
    (
        "Ecs",
        "ecs",
        "2014-05-26",
        "AuthorizeSecurityGroup",
        "Write",
        "ACS::ECS::SecurityGroup",
        "sg-",
    ),
    ("Oss", "oss", "2019-05-17", "PutBucketLogging", "Write", "ACS::OSS::Bucket", "bucket-"),
    ("Rds", "rds", "2014-08-15", "ModifySecurityIps", "Write", "ACS::RDS::DBInstance", "rm-"),
    ("Ram", "ram", "2015-05-01", "ListPoliciesForUser", "Read", "ACS::RAM::User", "user-"),
    (
        "ResourceManager",
        "resourcemanager",
        "2020-03-31",
        "ListResourceGroups",
        "Read",
        "ACS::ResourceManager::ResourceGroup",
        "rg-",
    ),
    ("Slb", "slb", "2014-05-15", "SetBackendServers", "Write", "ACS::SLB::LoadBalancer", "lb-"),
    ("Ess", "ess", "2014-08-28", "ExecuteScalingRule", "Write", "ACS::ESS::ScalingGroup", "asg-"),
    ("Cdn", "cdn", "2018-05-10", "RefreshObjectCaches", "Write", "ACS::CDN::Domain", "cdn-"),
    ("Alidns", "alidns", "2015-01-09", "DescribeDomainRecords", "Read", "ACS::DNS::Domain", "dns-"),
    ("FC", "fc", "2023-03-30", "InvokeFunction", "Write", "ACS::FC::Function", "fn-"),
    ("Cms", "metrics", "2019-01-01", "PutResourceMetricRule", "Write", "ACS::CMS::Rule", "rule-"),
    ("Nas", "nas", "2017-06-26", "DescribeFileSystems", "Read", "ACS::NAS::FileSystem", "fs-"),
    ("Ecs", "ecs", "2014-05-26", "CreateImage", "Write", "ACS::ECS::Image", "m-"),
    ("Ecs", "ecs", "2014-05-26", "AttachDisk", "Write", "ACS::ECS::Disk", "d-"),
    ("Ram", "ram", "2015-05-01", "CreateUser", "Write", "ACS::RAM::User", "user-"),
    ("Vpc", "vpc", "2016-04-28", "CreateRouteEntry", "Write", "ACS::VPC::RouteTable", "vtb-"),
    ("Ots", "ots", "2016-06-20", "ListInstance", "Read", "ACS::OTS::Instance", "ots-"),
    ("Config", "config", "2020-09-07", "ListConfigRules", "Read", "ACS::Config::Rule", "cr-"),
    ("Oos", "oos", "2019-06-01", "ListExecutions", "Read", "ACS::OOS::Execution", "exec-"),
    (
        "Cas",
        "cas",
        "2020-04-07",
        "ListUserCertificateOrder",
        "Read",
        "ACS::CAS::Certificate",
        "cas-",
    ),
    ("Waf", "wafopenapi", "2021-10-01", "DescribeDefenseRules", "Read", "ACS::WAF::Rule", "waf-"),
    ("Ecs", "ecs", "2014-05-26", "ModifyInstanceAttribute", "Write", "ACS::ECS::Instance", "i-"),
    (
        "Dds",
        "mongodb",
        "2015-12-01",
        "DescribeDBInstances",
        "Read",
        "ACS::MongoDB::DBInstance",
        "dds-",
    ),
    ("Hbr", "hbr", "2017-09-08", "DescribeVaults", "Read", "ACS::HBR::Vault", "v-"),
    (
        "Eci",
        "eci",
        "2018-08-08",
        "DescribeContainerGroups",
        "Read",
        "ACS::ECI::ContainerGroup",
        "eci-",
    ),
    ("Oss", "oss", "2019-05-17", "DeleteObject", "Write", "ACS::OSS::Bucket", "bucket-"),
    ("Ecs", "ecs", "2014-05-26", "DeleteSnapshot", "Write", "ACS::ECS::Snapshot", "s-"),
    ("Rds", "rds", "2014-08-15", "CreateBackup", "Write", "ACS::RDS::DBInstance", "rm-"),
    (
        "Sgw",
        "sgw",
        "2018-05-11",
        "DescribeGateways",
        "Read",
        "ACS::CloudStorageGateway::Gateway",
        "gw-",
    ),
    ("Yundun", "aegis", "2016-11-11", "DescribeAlarmEventList", "Read", "ACS::SAS::Event", "ev-"),
];

/// User agents of programs.
pub(super) const AGENTS: [&str; 9] = [
    "AlibabaCloud (linux; amd64) Golang/1.22.5 Core/0.0.1 TeaDSL/1 credential/ecs_ram_role",
    "AlibabaCloud (Linux; amd64) Java/1.8.0_402-b06 Core/4.6.3 HTTPClient/ApacheHttpClient",
    "AlibabaCloud API Workbench",
    "Terraform/1.9.5 terraform-provider-alicloud/1.230.0",
    "ecs.console.aliyun.com",
    "aliyun-cli/3.0.210 (linux; amd64)",
    "log-python-sdk-v-0.9.4, sys.version_info(major=3, minor=11, micro=9, releaselevel='final', serial=0), linux",
    "Apache-HttpClient/4.5.13 (Java/1.8.0_352)",
    "aliyun-sdk-go/v3.0.2 (Linux/5.10.134-16.al8.x86_64/x86_64;go1.22.5)",
];

/// User agents of browsers.
pub(super) const BROWSERS: [&str; 3] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.4 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
];

/// First names of people.
pub(super) const GIVEN: [&str; 20] = [
    "lin", "wei", "mei", "jun", "yan", "hao", "xin", "fang", "tao", "li", "qing", "bo", "ning",
    "rui", "chao", "ying", "kai", "min", "peng", "shu",
];

/// Family names.
pub(super) const FAMILY: [&str; 15] = [
    "chen", "wang", "zhang", "liu", "zhao", "huang", "zhou", "wu", "xu", "sun", "ma", "zhu", "hu",
    "guo", "he",
];

/// Service roles with the service host that assumes each.
pub(super) const SERVICE_ROLES: [(&str, &str); 5] = [
    ("aliyunserviceroleforautoscaling", "ess.aliyuncs.com"),
    ("aliyunserviceroleforactiontrail", "actiontrail.aliyuncs.com"),
    ("aliyunserviceroleforoos", "oos.aliyuncs.com"),
    ("aliyunserviceroleforcloudmonitor", "cloudmonitor.aliyuncs.com"),
    ("aliyunserviceroleforecssnapshot", "ecs.aliyuncs.com"),
];
