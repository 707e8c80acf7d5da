//! Data: backups and the rotation of snapshots, databases and their whitelists, exports at the end of the month.

use super::routine::Actor::{Program, Service, Staff, Workload};
use super::routine::Home::{Hub, Prod, ProdOrDev};
use super::routine::Rhythm::{Always, MonthEnd, Night, Office};
use super::routine::{Actor, Department, Routine, Team, call};

const SNAPSHOT: &str = "ACS::ECS::Snapshot";
const BUCKET: &str = "ACS::OSS::Bucket";
const DB: &str = "ACS::RDS::DBInstance";
const CLOUD_BACKUP: Actor = Service("aliyunhbrdefaultrole", "hbr.aliyuncs.com");

pub(super) const BACKUPS: Department = Department {
    name: "Backups",
    routines: &[
        Routine {
            what: "The backup program takes snapshots of every database machine, and deletes the oldest of each.",
            who: Workload("backup-rotation"), home: Prod, when: Night(14),
            calls: &[
                call("Ecs", "DescribeSnapshots", r#"{"PageSize":"100"}"#),
                call("Ecs", "CreateSnapshot", r#"{"DiskId":"<each-d>","SnapshotName":"nightly-<each-random>","RetentionDays":"14"}"#).on(SNAPSHOT, "<each-new-snap>").times(8),
                call("Ecs", "DeleteSnapshot", r#"{"SnapshotId":"<each-snap>"}"#).on(SNAPSHOT, "<each-snap>").times(8),
            ],
        },
        Routine {
            what: "Snapshots and an image are copied to the second region.",
            who: Workload("backup-rotation"), home: Prod, when: Night(28),
            calls: &[
                call("Ecs", "CopySnapshot", r#"{"SnapshotId":"<snap>","DestinationRegionId":"cn-shanghai","Encrypted":"true","RetentionDays":"30"}"#).on(SNAPSHOT, "<snap>"),
                call("Ecs", "CreateImage", r#"{"InstanceId":"<i>","ImageName":"nightly-<random>"}"#).on("ACS::ECS::Image", "<new-img>"),
                call("Ecs", "CopyImage", r#"{"ImageId":"<new-img>","DestinationRegionId":"cn-shanghai","Encrypted":"true"}"#).on("ACS::ECS::Image", "<new-img>"),
                call("Ecs", "DeleteImage", r#"{"ImageId":"<img>"}"#).on("ACS::ECS::Image", "<img>"),
            ],
        },
        Routine {
            what: "A golden image is shared with the company's own development account.",
            who: Workload("image-builder"), home: Prod, when: Office(26),
            calls: &[
                call("Ecs", "CreateImage", r#"{"InstanceId":"<i>","ImageName":"golden-<random>"}"#).on("ACS::ECS::Image", "<new-img>"),
                call("Ecs", "ModifyImageSharePermission", r#"{"ImageId":"<new-img>","AddAccount.1":"<dev-account>"}"#).on("ACS::ECS::Image", "<new-img>"),
            ],
        },
        Routine {
            what: "Cloud Backup runs its plans and deletes what is past its time.",
            who: CLOUD_BACKUP, home: Prod, when: Night(50),
            calls: &[
                call("Hbr", "CreateBackupJob", r#"{"VaultId":"<v>","SourceType":"ECS_FILE","InstanceId":"<i>","BackupType":"COMPLETE"}"#).on("ACS::HBR::Vault", "<v>"),
                call("Hbr", "DeleteSnapshot", r#"{"VaultId":"<v>","SnapshotId":"<each-snap>","Force":"false"}"#).on("ACS::HBR::Vault", "<v>").times(2),
            ],
        },
        Routine {
            what: "Databases are backed up on demand, and the oldest such backup is deleted.",
            who: Workload("backup-rotation"), home: Prod, when: Night(35),
            calls: &[
                call("Rds", "DescribeBackups", r#"{"DBInstanceId":"<rm>"}"#),
                call("Rds", "CreateBackup", r#"{"DBInstanceId":"<rm>","BackupMethod":"Physical"}"#).on(DB, "<rm>"),
                call("Rds", "DeleteBackup", r#"{"DBInstanceId":"<rm>","BackupId":"<number>"}"#).on(DB, "<rm>"),
            ],
        },
    ],
};

pub(super) const DATABASES: Department = Department {
    name: "Databases",
    routines: &[
        Routine {
            what: "Access on request: a private address is put on a whitelist, and taken off again.",
            who: Workload("db-access"), home: Prod, when: Office(40),
            calls: &[
                call("Rds", "ModifySecurityIps", r#"{"DBInstanceId":"<rm>","SecurityIps":"<private-ip>","DBInstanceIPArrayName":"tickets","ModifyMode":"Append"}"#).on(DB, "<rm>"),
                call("Rds", "ModifySecurityIps", r#"{"DBInstanceId":"<rm>","SecurityIps":"<private-ip>","DBInstanceIPArrayName":"tickets","ModifyMode":"Delete"}"#).on(DB, "<rm>"),
            ],
        },
        Routine {
            what: "The security team narrows whitelists: an entry that let everybody in is removed.",
            who: Workload("db-access"), home: ProdOrDev, when: Office(30),
            calls: &[
                call("Rds", "ModifySecurityIps", r#"{"DBInstanceId":"<rm>","SecurityIps":"0.0.0.0/0","ModifyMode":"Delete"}"#).on(DB, "<rm>"),
                call("R-kvstore", "ModifySecurityIps", r#"{"InstanceId":"<r>","SecurityIps":"10.0.0.0/8","ModifyMode":"Cover"}"#).on("ACS::Redis::DBInstance", "<r>"),
                call("PolarDB", "ModifyDBClusterAccessWhitelist", r#"{"DBClusterId":"<pc>","SecurityIps":"10.0.0.0/8,127.0.0.1","ModifyMode":"Cover"}"#).on("ACS::PolarDB::DBCluster", "<pc>"),
            ],
        },
        Routine {
            what: "A program gives each job a database account for an hour.",
            who: Workload("db-access"), home: Prod, when: Always(60),
            calls: &[
                call("Rds", "CreateAccount", r#"{"DBInstanceId":"<rm>","AccountName":"j<random>","AccountType":"Normal","AccountPassword":"***"}"#).on(DB, "<rm>"),
                call("Rds", "GrantAccountPrivilege", r#"{"DBInstanceId":"<rm>","AccountName":"j<random>","DBName":"<db>","AccountPrivilege":"ReadOnly"}"#).on(DB, "<rm>"),
                call("Rds", "DeleteAccount", r#"{"DBInstanceId":"<rm>","AccountName":"j<random>"}"#).on(DB, "<rm>"),
            ],
        },
        Routine {
            what: "The test runner empties its cache.",
            who: Workload("test-runner"), home: super::routine::Home::Dev, when: Office(30),
            calls: &[call("R-kvstore", "FlushInstance", r#"{"InstanceId":"<r>"}"#).on("ACS::Redis::DBInstance", "<r>")],
        },
        Routine {
            what: "Data is copied from production to the warehouse.",
            who: Workload("data-platform"), home: Prod, when: Night(25),
            calls: &[
                call("Dts", "ConfigureDtsJob", r#"{"DtsJobName":"warehouse-<random>","JobType":"SYNC","SourceEndpointInstanceID":"<rm>","SourceEndpointInstanceType":"RDS","DestinationEndpointInstanceID":"<pc>","DestinationEndpointInstanceType":"POLARDB","DestinationEndpointOwnerID":"<account>"}"#),
                call("Dts", "StartDtsJob", r#"{"DtsJobId":"<random>"}"#),
            ],
        },
        Routine {
            what: "The data platform makes a bucket for each tenant: private, encrypted, with a lifecycle.",
            who: Workload("data-platform"), home: Prod, when: Office(24),
            calls: &[
                call("Oss", "PutBucket", "").on(BUCKET, "example-tenant-<random>"),
                call("Oss", "PutBucketAcl", "").on(BUCKET, "example-tenant-<random>"),
                call("Oss", "PutBucketEncryption", "").on(BUCKET, "example-tenant-<random>"),
                call("Oss", "PutBucketLifecycle", "").on(BUCKET, "example-tenant-<random>"),
            ],
        },
        Routine {
            what: "Training jobs and notebooks of the data team.",
            who: Staff(Team::Data), home: super::routine::Home::Dev, when: Office(30),
            calls: &[
                call("Pai-dlc", "ListJobs", r#"{"PageSize":"20"}"#),
                call("Pai-dlc", "CreateJob", r#"{"body":"{\"DisplayName\":\"train-<random>\",\"JobSpecs\":[{\"Type\":\"Worker\",\"PodCount\":1,\"EcsSpec\":\"ecs.gn6i-c8g1.2xlarge\"}]}"}"#),
                call("Pai-dsw", "StartInstance", r#"{"InstanceId":"dsw-<random>"}"#),
            ],
        },
        Routine {
            what: "The data team exports the result of a query by an approved order.",
            who: Staff(Team::Data), home: Prod, when: Office(24),
            calls: &[
                call("Dms-enterprise", "CreateDataExportOrder", r#"{"Comment":"weekly report","PluginParam":"{\"AffectRows\":1200,\"ExeSQL\":\"***\",\"Classify\":\"report\"}"}"#),
                call("Dms-enterprise", "GetDataExportDownloadURL", r#"{"OrderId":"<number>"}"#),
            ],
        },
    ],
};

pub(super) const MONTH_END: Department = Department {
    name: "Month-end",
    routines: &[
        Routine {
            what: "Finance reads the bills and exports them.",
            who: Staff(Team::Finance),
            home: Prod,
            when: MonthEnd(60),
            calls: &[
                call("BssOpenApi", "QueryBill", r#"{"BillingCycle":"<month>","PageSize":"100"}"#),
                call(
                    "BssOpenApi",
                    "DescribeInstanceBill",
                    r#"{"BillingCycle":"<month>","MaxResults":"300"}"#,
                )
                .times(4),
                call("BssOpenApi", "QueryAccountBalance", "{}"),
            ],
        },
        Routine {
            what: "Finance exports invoices and orders from the databases, by approved orders.",
            who: Staff(Team::Finance),
            home: Prod,
            when: MonthEnd(25),
            calls: &[
                call(
                    "Dms-enterprise",
                    "CreateDataExportOrder",
                    r#"{"Comment":"month-end","PluginParam":"{\"AffectRows\":80000,\"ExeSQL\":\"***\",\"Classify\":\"finance\"}"}"#,
                ),
                call(
                    "Dms-enterprise",
                    "GetDataExportDownloadURL",
                    r#"{"OrderId":"<each-number>"}"#,
                )
                .times(2),
            ],
        },
        Routine {
            what: "A program with a key copies the month's reports to the archive.",
            who: Program("svc-archive"),
            home: Prod,
            when: MonthEnd(40),
            calls: &[
                call("Oss", "GetBucketInfo", "").on(BUCKET, "example-reports"),
                call("Oss", "PutBucketTagging", "").on(BUCKET, "example-reports"),
                call("Rds", "DescribeBackups", r#"{"DBInstanceId":"<rm>"}"#),
            ],
        },
        Routine {
            what: "The hub's cost program reads the bills of all accounts every day.",
            who: Program("svc-costs"),
            home: Hub,
            when: Night(28),
            calls: &[call(
                "BssOpenApi",
                "DescribeInstanceBill",
                r#"{"BillingCycle":"<month>","MaxResults":"300"}"#,
            )
            .times(6)],
        },
    ],
};
