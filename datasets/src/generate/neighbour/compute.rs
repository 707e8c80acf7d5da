//! Compute: Auto Scaling, what the platform releases and renews, and what services of the vendor run on instances.

use super::routine::Actor::{Pipeline, Platform, Service, Staff, Workload};
use super::routine::Home::{Dev, Prod, ProdOrDev};
use super::routine::Rhythm::{Always, Evening, Morning, Night, Office};
use super::routine::{Actor, Department, Routine, Team, call};

const INSTANCE: &str = "ACS::ECS::Instance";
const SCALING: Actor = Service("aliyunserviceroleforautoscaling", "ess.aliyuncs.com");
const OLD_SCALING: Actor = Service("aliyunessdefaultrole", "ess.aliyuncs.com");
const SECURITY_CENTER: Actor = Service("aliyunserviceroleforsas", "sas.aliyuncs.com");
const CLOUD_MONITOR: Actor =
    Service("aliyunserviceroleforcloudmonitor", "cloudmonitor.aliyuncs.com");
const ORCHESTRATION: Actor = Service("oosservicerole", "oos.aliyuncs.com");

pub(super) const SCALING_GROUPS: Department = Department {
    name: "Auto Scaling",
    routines: &[
        Routine {
            what: "A scaling group grows: its service role starts instances and puts them behind a load balancer.",
            who: SCALING, home: Prod, when: Always(120),
            calls: &[
                call("Ecs", "RunInstances", r#"{"LaunchTemplateId":"<lt>","Amount":"1","InstanceType":"ecs.g7.xlarge","ImageId":"<img>","SecurityGroupId":"<sg>","VSwitchId":"<vsw>","RamRoleName":"app-orders","SecurityEnhancementStrategy":"Active"}"#).on(INSTANCE, "<new-i>"),
                call("Slb", "AddVServerGroupBackendServers", r#"{"VServerGroupId":"<rsp>","BackendServers":"[{\"ServerId\":\"<new-i>\",\"Port\":\"8080\",\"Weight\":\"100\"}]"}"#).on("ACS::SLB::VServerGroup", "<rsp>"),
            ],
        },
        Routine {
            what: "A scaling group shrinks: its service role takes instances from the load balancer and deletes them.",
            who: SCALING, home: Prod, when: Always(110),
            calls: &[
                call("Slb", "RemoveVServerGroupBackendServers", r#"{"VServerGroupId":"<rsp>","BackendServers":"[{\"ServerId\":\"<i>\",\"Port\":\"8080\"}]"}"#).on("ACS::SLB::VServerGroup", "<rsp>"),
                call("Ecs", "DeleteInstance", r#"{"InstanceId":"<i>","Force":"true"}"#).on(INSTANCE, "<i>"),
            ],
        },
        Routine {
            what: "The evening's scale-in: a dozen instances are deleted within minutes.",
            who: SCALING, home: Prod, when: Evening(5),
            calls: &[call("Ecs", "DeleteInstance", r#"{"InstanceId":"<each-i>","Force":"true"}"#).on(INSTANCE, "<each-i>").times(12)],
        },
        Routine {
            what: "An older scaling group, by its default role, deletes several instances with one call.",
            who: OLD_SCALING, home: ProdOrDev, when: Always(40),
            calls: &[call("Ecs", "DeleteInstances", r#"{"InstanceId.1":"<i>","InstanceId.2":"<i2>","Force":"true"}"#).on(INSTANCE, "<i>,<i2>")],
        },
        Routine {
            what: "A group in economical mode stops instances and starts them again.",
            who: SCALING, home: ProdOrDev, when: Always(60),
            calls: &[
                call("Ecs", "StopInstance", r#"{"InstanceId":"<i>","StoppedMode":"StopCharging","ForceStop":"false"}"#).on(INSTANCE, "<i>"),
                call("Ecs", "StartInstance", r#"{"InstanceId":"<i2>"}"#).on(INSTANCE, "<i2>"),
            ],
        },
        Routine {
            what: "An alarm of CloudMonitor executes a scaling rule.",
            who: CLOUD_MONITOR, home: Prod, when: Always(140),
            calls: &[call("Ess", "ExecuteScalingRule", r#"{"ScalingRuleAri":"ari:acs:ess:<region>:<account>:scalingrule/<asr>"}"#).on("ACS::ESS::ScalingGroup", "<asg>")],
        },
        Routine {
            what: "The release program sets a group's number of instances before a sale and after it.",
            who: Workload("capacity-planner"), home: Prod, when: Office(40),
            calls: &[
                call("Ess", "DescribeScalingGroups", r#"{"ScalingGroupId.1":"<asg>"}"#),
                call("Ess", "ModifyScalingGroup", r#"{"ScalingGroupId":"<asg>","MinSize":"4","MaxSize":"40","DesiredCapacity":"8"}"#).on("ACS::ESS::ScalingGroup", "<asg>"),
            ],
        },
        Routine {
            what: "The pipeline gives a scaling group a new image.",
            who: Pipeline, home: Prod, when: Office(28),
            calls: &[
                call("Ecs", "CreateLaunchTemplateVersion", r#"{"LaunchTemplateId":"<lt>","ImageId":"<img>","RamRoleName":"app-orders","HttpTokens":"required"}"#).on("ACS::ECS::LaunchTemplate", "<lt>"),
                call("Ess", "CreateScalingConfiguration", r#"{"ScalingGroupId":"<asg>","ImageId":"<img>","RamRoleName":"app-orders","UserData":"***"}"#).on("ACS::ESS::ScalingConfiguration", "<asc>"),
                call("Ess", "ModifyScalingGroup", r#"{"ScalingGroupId":"<asg>","LaunchTemplateId":"<lt>"}"#).on("ACS::ESS::ScalingGroup", "<asg>"),
            ],
        },
    ],
};

pub(super) const PLATFORM: Department = Department {
    name: "The platform",
    routines: &[
        Routine {
            what: "The platform takes spot instances back.",
            who: Platform,
            home: ProdOrDev,
            when: Always(45),
            calls: &[call("Ecs", "Release", "{}").on(INSTANCE, "<new-i>")],
        },
        Routine {
            what: "Spot prices rise: the platform takes a dozen back within minutes.",
            who: Platform,
            home: Dev,
            when: Always(2),
            calls: &[call("Ecs", "Release", "{}").on(INSTANCE, "<each-new-i>").times(12)],
        },
        Routine {
            what: "Subscriptions are renewed automatically.",
            who: Platform,
            home: Prod,
            when: Always(10),
            calls: &[call("Ecs", "Renew", "{}").on(INSTANCE, "<i>")],
        },
        Routine {
            what: "A subscription that nobody needs any more expires, and the platform releases the instance.",
            who: Platform,
            home: Dev,
            when: Always(1),
            calls: &[call("Ecs", "Release", "{}").on(INSTANCE, "<devbox>")],
        },
        Routine {
            what: "Automatic snapshots are made by the platform's policy, and the expired ones deleted.",
            who: Service("aliyunserviceroleforecssnapshot", "ecs.aliyuncs.com"),
            home: ProdOrDev,
            when: Night(28),
            calls: &[
                call("Ecs", "CreateSnapshot", r#"{"DiskId":"<each-d>","RetentionDays":"7"}"#)
                    .on("ACS::ECS::Snapshot", "<each-new-snap>")
                    .times(8),
                call("Ecs", "DeleteSnapshot", r#"{"SnapshotId":"<each-snap>"}"#)
                    .on("ACS::ECS::Snapshot", "<each-snap>")
                    .times(8),
            ],
        },
    ],
};

pub(super) const GUESTS: Department = Department {
    name: "Commands on instances",
    routines: &[
        Routine {
            what: "Security Center checks baselines and files by commands on instances.",
            who: SECURITY_CENTER, home: ProdOrDev, when: Always(120),
            calls: &[
                call("Ecs", "DescribeInstances", r#"{"InstanceIds":"[\"<i>\"]"}"#),
                call("Ecs", "RunCommand", r#"{"InstanceId.1":"<i>","InstanceId.2":"<i2>","Type":"RunShellScript","Name":"aegis-baseline","CommandContent":"***","Timeout":"600"}"#).on(INSTANCE, "<i>,<i2>"),
            ],
        },
        Routine {
            what: "CloudMonitor installs and updates its agent.",
            who: CLOUD_MONITOR, home: ProdOrDev, when: Always(60),
            calls: &[call("Ecs", "InvokeCommand", r#"{"CommandId":"ACS-CMS-InstallAgent","InstanceId.1":"<i>"}"#).on(INSTANCE, "<i>")],
        },
        Routine {
            what: "The orchestration service patches instances: command, snapshot, restart.",
            who: ORCHESTRATION, home: ProdOrDev, when: Night(50),
            calls: &[
                call("Ecs", "CreateSnapshot", r#"{"DiskId":"<d>","RetentionDays":"3"}"#).on("ACS::ECS::Snapshot", "<new-snap>"),
                call("Ecs", "RunCommand", r#"{"InstanceId.1":"<i>","Type":"RunShellScript","Name":"ACS-ECS-PatchBaseline","CommandContent":"***"}"#).on(INSTANCE, "<i>"),
                call("Ecs", "RebootInstance", r#"{"InstanceId":"<i>","ForceStop":"false"}"#).on(INSTANCE, "<i>"),
            ],
        },
        Routine {
            what: "The orchestration service sends files with settings to instances.",
            who: ORCHESTRATION, home: ProdOrDev, when: Always(30),
            calls: &[call("Ecs", "SendFile", r#"{"InstanceId.1":"<i>","Name":"settings.yaml","TargetDir":"/etc/example","ContentType":"PlainText","Content":"***"}"#).on(INSTANCE, "<i>")],
        },
        Routine {
            what: "Development machines are stopped in the evening by a timer of the orchestration service.",
            who: ORCHESTRATION, home: Dev, when: Evening(25),
            calls: &[call("Ecs", "StopInstances", r#"{"InstanceId.1":"<devbox>","InstanceId.2":"<devbox2>","InstanceId.3":"<devbox3>","StoppedMode":"StopCharging"}"#).on(INSTANCE, "<devbox>,<devbox2>,<devbox3>")],
        },
        Routine {
            what: "Development machines are started in the morning.",
            who: ORCHESTRATION, home: Dev, when: Morning(25),
            calls: &[call("Ecs", "StartInstances", r#"{"InstanceId.1":"<devbox>","InstanceId.2":"<devbox2>","InstanceId.3":"<devbox3>"}"#).on(INSTANCE, "<devbox>,<devbox2>,<devbox3>")],
        },
        Routine {
            what: "A timer of the orchestration service starts an execution.",
            who: ORCHESTRATION, home: ProdOrDev, when: Always(60),
            calls: &[
                call("Oos", "StartExecution", r#"{"TemplateName":"ACS-ECS-BulkyRunCommand","Parameters":"{\"targets\":{\"Type\":\"ResourceIds\",\"ResourceIds\":[\"<i>\"]}}","Mode":"Automatic"}"#),
                call("Oos", "GetSecretParameter", r#"{"Name":"agent-token","WithDecryption":"true"}"#),
            ],
        },
        Routine {
            what: "The test runner sets the time at which its own machine is released.",
            who: Workload("test-runner"), home: Dev, when: Always(40),
            calls: &[
                call("Ecs", "RunInstances", r#"{"Amount":"1","InstanceType":"ecs.c7.2xlarge","ImageId":"<img>","SpotStrategy":"SpotAsPriceGo","SecurityGroupId":"<sg>","VSwitchId":"<vsw>","Tag.1.Key":"purpose","Tag.1.Value":"test"}"#).on(INSTANCE, "<new-i>"),
                call("Ecs", "ModifyInstanceAutoReleaseTime", r#"{"InstanceId":"<new-i>","AutoReleaseTime":"<in-6-hours>"}"#).on(INSTANCE, "<new-i>"),
            ],
        },
        Routine {
            what: "Developers start their machine by hand, and change its name or its type while it is stopped.",
            who: Staff(Team::Developers), home: Dev, when: Office(30),
            calls: &[
                call("Ecs", "DescribeInstances", r#"{"InstanceIds":"[\"<devbox>\"]"}"#),
                call("Ecs", "StartInstance", r#"{"InstanceId":"<devbox>"}"#).on(INSTANCE, "<devbox>"),
                call("Ecs", "ModifyInstanceAttribute", r#"{"InstanceId":"<devbox>","InstanceName":"dev-<random>","DeletionProtection":"true"}"#).on(INSTANCE, "<devbox>"),
            ],
        },
    ],
};
