//! The departments of the everyday company, and its configuration.

use super::routine::Department;
use super::{compute, containers, data, people, pipelines};

/// What the company says about itself in its configuration: no more than the documentation asks of everybody.
pub(crate) const CONFIGURATION: &str = r#"# The minimal configuration of an ordinary company, for the generated traffic beside this file.
[parameters]
corporate_cidrs = [
  { cidr = "203.0.113.0/24", label = "office" },
  { cidr = "2001:db8:10::/48", label = "office" },
  { cidr = "192.0.2.0/26", label = "NAT gateways of the VPCs" },
]
accounts = { "1000000000000001" = "prod", "1000000000000002" = "hub", "1000000000000003" = "dev" }
sso_mode = "user_sso"
sso_asserts_mfa = true
automation_roles = ["terraform-ci", "deploy-ci", "test-runner", "backup-rotation"]
allowed_principals = [
  { rule = "AT-*", role_name = "terraform-ci", source_cidr = "192.0.2.0/26", expires = "2099-12-31", reason = "changes by reviewed pull requests", ticket = "OPS-1" },
]
change_windows = [
  { rrule = "FREQ=WEEKLY;BYDAY=WE", from = "22:00", to = "23:59", timezone = "Asia/Shanghai", reason = "weekly maintenance" },
]
"#;

/// The company's departments.
pub(super) const DEPARTMENTS: [Department; 15] = [
    compute::SCALING_GROUPS,
    compute::PLATFORM,
    compute::GUESTS,
    containers::KUBERNETES,
    containers::RELEASES,
    pipelines::TERRAFORM,
    pipelines::AUDIT,
    data::BACKUPS,
    data::DATABASES,
    data::MONTH_END,
    people::APPLICATIONS,
    people::CONSOLE,
    people::SECURITY,
    people::IDENTITY,
    people::ON_CALL,
];
