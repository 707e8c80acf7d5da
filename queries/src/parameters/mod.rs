//! Facts about the company that rules use: IP ranges, automation roles, change windows, known
//! exceptions. Values are validated strictly. A rule that requires a missing parameter is not
//! loaded; it never runs with a silent default.

mod cidr;
mod geo;
mod globs;
mod hours;
mod principal;
pub mod toml_time;
mod window;

pub use cidr::{CidrEntry, CidrList};
pub use geo::AddressDatabase;
pub use globs::GlobList;
pub use hours::BusinessHours;
pub use principal::{AllowedPrincipal, PrincipalAttributes};
pub use window::{ChangeAttributes, ChangeWindow};

pub(crate) use cidr::parse_range;

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The `[parameters]` table of `trailhound.toml`.
///
/// ```
/// use trailhound_queries::parameters::Parameters;
///
/// let parameters: Parameters = toml::from_str(
///     r#"
///     automation_roles = ["ci-*"]
///     corporate_cidrs = [{ cidr = "203.0.113.0/24", label = "office" }]
///     "#,
/// )?;
/// assert!(parameters.is_set("automation_roles"));
/// assert!(parameters.automation_roles.matches("ci-deploy"));
/// let ranges = parameters.corporate_cidrs.expect("given above");
/// assert_eq!(ranges.label("203.0.113.7".parse()?, None), Some(Some("office")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// IP ranges of the company.
    pub corporate_cidrs: Option<CidrList>,
    /// Roles (name globs) that programs use, not people.
    pub automation_roles: GlobList,
    /// Instances (id globs) whose stop is serious at any time, even in a change window.
    pub critical_instances: GlobList,
    /// Known exceptions from rules, each with a reason and an expiry date.
    pub allowed_principals: Vec<AllowedPrincipal>,
    /// Change windows, in which stops of instances are expected.
    pub change_windows: Vec<ChangeWindow>,
    /// Business hours.
    pub business_hours: Option<BusinessHours>,
    /// Names of accounts, by account id.
    pub accounts: BTreeMap<String, String>,
    /// How people sign in.
    pub sso_mode: SsoMode,
    /// True where the identity provider asks for a second factor at every sign-in.
    pub sso_asserts_mfa: bool,
    /// What to do with sign-ins from the vendor's mobile apps outside of the company's ranges.
    pub mobile_policy: MobilePolicy,
    /// Number of instances that one principal must stop within ten minutes to make a burst.
    pub burst_instances: Option<u32>,
    /// Images (id globs) from which instances may be created.
    pub approved_images: GlobList,
    /// Regions (globs) that the company uses.
    pub allowed_regions: GlobList,
    /// IP database of countries and coordinates, in MaxMind's format.
    pub geo_city: Option<AddressDatabase>,
    /// IP database of autonomous systems, in MaxMind's format.
    pub geo_asn: Option<AddressDatabase>,
}

/// How people sign in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SsoMode {
    /// With passwords of the cloud; no single sign-on.
    #[default]
    None,
    /// As RAM users through an identity provider.
    UserSso,
    /// As roles through an identity provider.
    RoleSso,
    /// Through CloudSSO.
    Cloudsso,
}

/// What to do with sign-ins from mobile apps, which come from the addresses of mobile carriers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MobilePolicy {
    /// Report them like any other sign-in.
    #[default]
    Flag,
    /// Store their findings as suppressed.
    Suppress,
}

/// Default of [`Parameters::burst_instances`].
const BURST_INSTANCES: u32 = 5;

impl Parameters {
    /// Names of the parameters that a rule can require.
    pub const NAMES: [&'static str; 15] = [
        "corporate_cidrs",
        "automation_roles",
        "critical_instances",
        "allowed_principals",
        "change_windows",
        "business_hours",
        "accounts",
        "sso_mode",
        "sso_asserts_mfa",
        "mobile_policy",
        "burst_instances",
        "approved_images",
        "allowed_regions",
        "geo_city",
        "geo_asn",
    ];

    /// Opens the IP databases that the parameters name; relative paths start at `folder`.
    ///
    /// # Errors
    /// The file, and why it cannot be opened.
    pub fn open(&mut self, folder: &Path) -> Result<(), String> {
        self.open_available(folder).into_iter().next().map_or(Ok(()), Err)
    }

    /// As [`Self::open`], and leaves out the databases that cannot be opened. Returns why, for each.
    pub fn open_available(&mut self, folder: &Path) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, database, fields) in [
            ("geo_city", &mut self.geo_city, &["location", "latitude"][..]),
            ("geo_asn", &mut self.geo_asn, &["autonomous_system_number"][..]),
        ] {
            let opened = database.as_mut().map(|database| database.open(folder, fields));
            if let Some(Err(problem)) = opened {
                problems.push(format!("[parameters] {name}: {problem}"));
                *database = None;
            }
        }
        problems
    }

    /// True where the parameter `name` is set. A parameter with a documented default is always set.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        match name {
            "corporate_cidrs" => self.corporate_cidrs.as_ref().is_some_and(|list| !list.is_empty()),
            "business_hours" => self.business_hours.is_some(),
            "automation_roles" => !self.automation_roles.is_empty(),
            "critical_instances" => !self.critical_instances.is_empty(),
            "allowed_principals" => !self.allowed_principals.is_empty(),
            "change_windows" => !self.change_windows.is_empty(),
            "accounts" => !self.accounts.is_empty(),
            "approved_images" => !self.approved_images.is_empty(),
            "allowed_regions" => !self.allowed_regions.is_empty(),
            "geo_city" => self.geo_city.is_some(),
            "geo_asn" => self.geo_asn.is_some(),
            "sso_mode" => self.sso_mode != SsoMode::None,
            _ => true,
        }
    }

    /// The single-valued parameter `name` as text, for the SQL function `setting`; `None` where
    /// there is no such parameter.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<String> {
        Some(match name {
            "sso_mode" => match self.sso_mode {
                SsoMode::None => "none",
                SsoMode::UserSso => "user_sso",
                SsoMode::RoleSso => "role_sso",
                SsoMode::Cloudsso => "cloudsso",
            }
            .to_owned(),
            "sso_asserts_mfa" => self.sso_asserts_mfa.to_string(),
            "mobile_policy" => match self.mobile_policy {
                MobilePolicy::Flag => "flag",
                MobilePolicy::Suppress => "suppress",
            }
            .to_owned(),
            "burst_instances" => self.burst_instances.unwrap_or(BURST_INSTANCES).to_string(),
            _ => return None,
        })
    }

    /// The glob list parameter `name`; `None` where there is no such list.
    #[must_use]
    pub fn globs(&self, name: &str) -> Option<&GlobList> {
        match name {
            "automation_roles" => Some(&self.automation_roles),
            "critical_instances" => Some(&self.critical_instances),
            "approved_images" => Some(&self.approved_images),
            "allowed_regions" => Some(&self.allowed_regions),
            _ => None,
        }
    }

    /// Warnings about likely mistakes in the parameters, shown when they are loaded.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(list) = &self.corporate_cidrs
            && !list.is_empty()
            && !list.contains_ipv6()
        {
            warnings
                .push("`corporate_cidrs` lists no IPv6 range: if the office has IPv6, every sign-in over it counts as outside".to_owned());
        }
        for (index, principal) in self.allowed_principals.iter().enumerate() {
            if principal.matches_everything() {
                warnings.push(format!(
                    "`allowed_principals` entry {} matches every principal of rule {}",
                    index + 1,
                    principal.rule
                ));
            }
        }
        warnings
    }
}
