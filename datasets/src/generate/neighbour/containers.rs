//! Containers: Kubernetes makes and removes network interfaces, disks, listeners and container groups all day.

use super::routine::Actor::{Deployment, Pod, Service, Staff, WorkerNode, Workload};
use super::routine::Home::{Dev, Prod, ProdOrDev};
use super::routine::Rhythm::{Always, Office};
use super::routine::{Actor, Department, Routine, Team, call};

const ENI: &str = "ACS::ECS::NetworkInterface";
const GROUP: &str = "ACS::ECI::ContainerGroup";
const STORAGE: Actor = Service("aliyuncsmanagedcsirole", "cs.aliyuncs.com");
const CLOUD_CONTROLLER: Actor = Service("aliyuncsmanagedkubernetesrole", "cs.aliyuncs.com");
const VIRTUAL_NODE: Actor = Service("aliyuncsmanagedvkrole", "cs.aliyuncs.com");
const AUTOSCALER: Actor = Service("aliyuncsmanagedautoscalerrole", "cs.aliyuncs.com");

pub(super) const KUBERNETES: Department = Department {
    name: "Kubernetes",
    routines: &[
        Routine {
            what: "The network plugin of a node makes an interface for new pods.",
            who: WorkerNode, home: ProdOrDev, when: Always(500),
            calls: &[
                call("Ecs", "CreateNetworkInterface", r#"{"VSwitchId":"<vsw>","SecurityGroupId":"<sg>","NetworkInterfaceName":"eni-cni-<random>","SecondaryPrivateIpAddressCount":"4"}"#).on(ENI, "<new-eni>"),
                call("Ecs", "AttachNetworkInterface", r#"{"NetworkInterfaceId":"<new-eni>","InstanceId":"<node>"}"#).on(ENI, "<new-eni>"),
                call("Ecs", "DescribeNetworkInterfaces", r#"{"NetworkInterfaceId.1":"<new-eni>"}"#),
            ],
        },
        Routine {
            what: "The network plugin removes interfaces that no pod uses.",
            who: WorkerNode, home: ProdOrDev, when: Always(480),
            calls: &[
                call("Ecs", "DetachNetworkInterface", r#"{"NetworkInterfaceId":"<eni>","InstanceId":"<node>"}"#).on(ENI, "<eni>"),
                call("Ecs", "DeleteNetworkInterface", r#"{"NetworkInterfaceId":"<eni>"}"#).on(ENI, "<eni>"),
            ],
        },
        Routine {
            what: "A node is drained: its network plugin deletes a dozen interfaces within minutes.",
            who: WorkerNode, home: ProdOrDev, when: Always(20),
            calls: &[call("Ecs", "DeleteNetworkInterface", r#"{"NetworkInterfaceId":"<each-eni>"}"#).on(ENI, "<each-eni>").times(12)],
        },
        Routine {
            what: "The storage plugin makes a disk for a volume, and attaches it.",
            who: STORAGE, home: ProdOrDev, when: Always(60),
            calls: &[
                call("Ecs", "CreateDisk", r#"{"ZoneId":"<region>-i","DiskCategory":"cloud_essd","Size":"40","Encrypted":"true","DiskName":"disk-<random>"}"#).on("ACS::ECS::Disk", "<new-d>"),
                call("Ecs", "AttachDisk", r#"{"DiskId":"<new-d>","InstanceId":"<node>"}"#).on("ACS::ECS::Disk", "<new-d>"),
            ],
        },
        Routine {
            what: "The storage plugin deletes the disk of a volume that was given back.",
            who: STORAGE, home: ProdOrDev, when: Always(55),
            calls: &[
                call("Ecs", "DetachDisk", r#"{"DiskId":"<d>","InstanceId":"<node>"}"#).on("ACS::ECS::Disk", "<d>"),
                call("Ecs", "DeleteDisk", r#"{"DiskId":"<d>"}"#).on("ACS::ECS::Disk", "<d>"),
            ],
        },
        Routine {
            what: "The cloud controller keeps load balancers in step with services.",
            who: CLOUD_CONTROLLER, home: ProdOrDev, when: Always(260),
            calls: &[
                call("Slb", "DescribeLoadBalancers", r#"{"LoadBalancerId":"<lb>"}"#),
                call("Slb", "AddVServerGroupBackendServers", r#"{"VServerGroupId":"<rsp>","BackendServers":"[{\"ServerId\":\"<node>\",\"Port\":\"30080\"}]"}"#).on("ACS::SLB::VServerGroup", "<rsp>"),
                call("Slb", "RemoveVServerGroupBackendServers", r#"{"VServerGroupId":"<rsp>","BackendServers":"[{\"ServerId\":\"<node2>\",\"Port\":\"30080\"}]"}"#).on("ACS::SLB::VServerGroup", "<rsp>"),
            ],
        },
        Routine {
            what: "The cloud controller makes the listener of a new service, and its access list.",
            who: CLOUD_CONTROLLER, home: ProdOrDev, when: Always(30),
            calls: &[
                call("Slb", "CreateLoadBalancerHTTPListener", r#"{"LoadBalancerId":"<lb>","ListenerPort":"80","BackendServerPort":"30080","HealthCheck":"on","ListenerForward":"on","ForwardPort":"443"}"#).on("ACS::SLB::LoadBalancer", "<lb>"),
                call("Slb", "AddAccessControlListEntry", r#"{"AclId":"<acl>","AclEntrys":"[{\"entry\":\"203.0.113.0/24\",\"comment\":\"office\"}]"}"#).on("ACS::SLB::AccessControlList", "<acl>"),
                call("Slb", "SetLoadBalancerDeleteProtection", r#"{"LoadBalancerId":"<lb>","DeleteProtection":"on"}"#).on("ACS::SLB::LoadBalancer", "<lb>"),
            ],
        },
        Routine {
            what: "A virtual node starts a container group and ends it when its pod is done.",
            who: VIRTUAL_NODE, home: ProdOrDev, when: Always(300),
            calls: &[
                call("Eci", "CreateContainerGroup", r#"{"ContainerGroupName":"job-<random>","Cpu":"2","Memory":"4","SecurityGroupId":"<sg>","VSwitchId":"<vsw>","Container.1.Name":"job","Container.1.Image":"registry.example.com/<repo>:1.<n>"}"#).on(GROUP, "<new-eci>"),
                call("Eci", "DescribeContainerGroups", r#"{"ContainerGroupIds":"[\"<new-eci>\"]"}"#),
                call("Eci", "DeleteContainerGroup", r#"{"ContainerGroupId":"<new-eci>"}"#).on(GROUP, "<new-eci>"),
            ],
        },
        Routine {
            what: "The autoscaler of a cluster adds nodes.",
            who: AUTOSCALER, home: ProdOrDev, when: Always(40),
            calls: &[call("Ess", "ScaleWithAdjustment", r#"{"ScalingGroupId":"<asg>","AdjustmentType":"QuantityChangeInCapacity","AdjustmentValue":"2"}"#).on("ACS::ESS::ScalingGroup", "<asg>")],
        },
        Routine {
            what: "The autoscaler removes nodes, and the scaling service ends them.",
            who: AUTOSCALER, home: ProdOrDev, when: Always(35),
            calls: &[call("Ess", "RemoveInstances", r#"{"ScalingGroupId":"<asg>","InstanceId.1":"<node>","DecreaseDesiredCapacity":"true"}"#).on("ACS::ECS::Instance", "<node>")],
        },
        Routine {
            what: "The container service repairs a node pool: it removes a broken node and restarts another.",
            who: CLOUD_CONTROLLER, home: ProdOrDev, when: Always(24),
            calls: &[
                call("Cs", "RemoveNodePoolNodes", r#"{"ClusterId":"<c>","NodepoolId":"<np>","instance_ids":["<node>"],"release_node":"true","drain_node":"true"}"#).on("ACS::CS::Cluster", "<c>"),
                call("Ecs", "RebootInstances", r#"{"InstanceId.1":"<node2>","ForceReboot":"false"}"#).on("ACS::ECS::Instance", "<node2>"),
            ],
        },
        Routine {
            what: "Controllers read the state of nodes, disks and interfaces.",
            who: WorkerNode, home: ProdOrDev, when: Always(2_400),
            calls: &[
                call("Ecs", "DescribeInstances", r#"{"InstanceIds":"[\"<node>\"]"}"#),
                call("Ecs", "DescribeNetworkInterfaces", r#"{"InstanceId":"<node>"}"#),
            ],
        },
    ],
};

pub(super) const RELEASES: Department = Department {
    name: "Releases of applications",
    routines: &[
        Routine {
            what: "The pipeline deploys: it fetches the kubeconfig, logs in to the registry and reads the rollout.",
            who: Deployment, home: ProdOrDev, when: Office(160),
            calls: &[
                call("Sts", "GetCallerIdentity", "{}"),
                call("Cs", "DescribeClusterUserKubeconfig", r#"{"ClusterId":"<c>","PrivateIpAddress":"true","TemporaryDurationMinutes":"30"}"#).on("ACS::CS::Cluster", "<c>"),
                call("Cr", "GetAuthorizationToken", r#"{"InstanceId":"cri-example"}"#),
                call("Cs", "DescribeClusterDetail", r#"{"ClusterId":"<c>"}"#),
            ],
        },
        Routine {
            what: "The pipeline deploys a function and its trigger.",
            who: Deployment, home: ProdOrDev, when: Office(40),
            calls: &[
                call("FC", "UpdateFunction", r#"{"functionName":"<function>","body":"{\"memorySize\":512,\"timeout\":60}"}"#).on("ACS::FC::Function", "<function>"),
                call("FC", "CreateTrigger", r#"{"functionName":"<function>","body":"{\"triggerType\":\"oss\",\"triggerName\":\"upload-<random>\"}"}"#).on("ACS::FC::Function", "<function>"),
            ],
        },
        Routine {
            what: "The pipeline silences the alarms of what it replaces, and writes them anew.",
            who: Deployment, home: Prod, when: Office(40),
            calls: &[
                call("Cms", "DisableMetricRules", r#"{"RuleId.1":"<app>-<rule>"}"#),
                call("Cms", "DeleteMetricRules", r#"{"Id.1":"<app>-<rule>"}"#),
                call("Cms", "PutResourceMetricRule", r#"{"RuleId":"<app>-<rule>","RuleName":"<app>-<rule>","Namespace":"acs_k8s","MetricName":"pod.cpu","ContactGroups":"oncall"}"#),
                call("Cms", "EnableMetricRules", r#"{"RuleId.1":"<app>-<rule>"}"#),
            ],
        },
        Routine {
            what: "Developers fetch their own kubeconfig of the development cluster.",
            who: Staff(Team::Developers), home: Dev, when: Office(30),
            calls: &[
                call("Cs", "DescribeClustersV1", r#"{}"#),
                call("Cs", "DescribeClusterUserKubeconfig", r#"{"ClusterId":"<c>","PrivateIpAddress":"true"}"#).on("ACS::CS::Cluster", "<c>"),
            ],
        },
        Routine {
            what: "Nodes log in to the registry.",
            who: WorkerNode, home: ProdOrDev, when: Always(300),
            calls: &[call("Cr", "GetAuthorizationToken", r#"{"InstanceId":"cri-example"}"#)],
        },
        Routine {
            what: "Pods exchange their token for a role.",
            who: Pod("orders"), home: ProdOrDev, when: Always(420),
            calls: &[call("Sts", "AssumeRoleWithOIDC", r#"{"RoleArn":"acs:ram::<account>:role/app-orders","OIDCProviderArn":"acs:ram::<account>:oidc-provider/ack-rrsa-<c>","RoleSessionName":"orders","DurationSeconds":"3600"}"#).on("ACS::RAM::Role", "app-orders")],
        },
        Routine {
            what: "Build jobs run on machines with many cores for an hour.",
            who: Workload("test-runner"), home: Dev, when: Office(40),
            calls: &[
                call("Eci", "CreateContainerGroup", r#"{"ContainerGroupName":"build-<random>","Cpu":"16","Memory":"32","SpotStrategy":"SpotAsPriceGo","SecurityGroupId":"<sg>","VSwitchId":"<vsw>","Container.1.Name":"build","Container.1.Image":"registry.example.com/build:3"}"#).on(GROUP, "<new-eci>"),
                call("Eci", "DeleteContainerGroup", r#"{"ContainerGroupId":"<new-eci>"}"#).on(GROUP, "<new-eci>"),
            ],
        },
    ],
};
