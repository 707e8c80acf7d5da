//! What the user tells about the company: ranges, roles, windows, exceptions. Strictly validated; a detection that needs
//! a missing one is not loaded rather than run on a silent default.

mod cidr;
mod geo;
mod hours;
mod principal;
mod window;

pub use cidr::{CidrEntry, CidrList};
pub use geo::AddressDatabase;
pub use hours::BusinessHours;
pub use principal::{AllowedPrincipal, Operator};
pub use window::{Change, ChangeWindow};

pub(crate) use cidr::parse_range;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use serde::de::Error as _;
use std::collections::BTreeMap;
use std::path::Path;

/// The `[parameters]` table of `trailhound.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Address ranges that are the company's own.
    pub corporate_cidrs: Option<CidrList>,
    /// Role names (globs) that act without a person.
    pub automation_roles: GlobList,
    /// Instances (id globs) whose stop is serious at any time.
    pub critical_instances: GlobList,
    /// Known exceptions, each with a reason and an expiry.
    pub allowed_principals: Vec<AllowedPrincipal>,
    /// Times at which stops are expected.
    pub change_windows: Vec<ChangeWindow>,
    /// When people work.
    pub business_hours: Option<BusinessHours>,
    /// Names of accounts by id.
    pub accounts: BTreeMap<String, String>,
    /// How people sign in.
    pub sso_mode: SsoMode,
    /// The identity provider asks for a second factor at every sign-in.
    pub sso_asserts_mfa: bool,
    /// What to do with sign-ins from the vendor's mobile apps outside corporate ranges.
    pub mobile_policy: MobilePolicy,
    /// Instances stopped by one principal within ten minutes that make a burst.
    pub burst_instances: Option<u32>,
    /// Images (id globs) that instances may be made from.
    pub approved_images: GlobList,
    /// Regions (globs) that the company uses.
    pub allowed_regions: GlobList,
    /// Database of countries and places by address, in MaxMind's format.
    pub geo_city: Option<AddressDatabase>,
    /// Database of networks by address, in MaxMind's format.
    pub geo_asn: Option<AddressDatabase>,
}

/// How people sign in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SsoMode {
    /// With passwords of the cloud.
    #[default]
    None,
    /// As RAM users through an identity provider.
    UserSso,
    /// As roles through an identity provider.
    RoleSso,
    /// Through CloudSSO.
    Cloudsso,
}

/// What to do with sign-ins from mobile apps, which come from carrier addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MobilePolicy {
    /// Flag them like any other.
    #[default]
    Flag,
    /// Store them as suppressed.
    Suppress,
}

/// Stops that make a burst unless said otherwise.
const BURST_INSTANCES: u32 = 5;

impl Parameters {
    /// Names of the parameters a rule can require.
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

    /// Opens the files it names; relative paths count from `folder`.
    ///
    /// # Errors
    /// Which file cannot be read and why.
    pub fn open(&mut self, folder: &Path) -> Result<(), String> {
        self.geo_city
            .iter_mut()
            .try_for_each(|database| database.open(folder, &["location", "latitude"]))?;
        self.geo_asn
            .iter_mut()
            .try_for_each(|database| database.open(folder, &["autonomous_system_number"]))
    }

    /// True where the parameter `name` was given (those with a documented default always are).
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
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

    /// The single-valued parameter `name` as text, for the SQL function `setting`.
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

    /// The glob list `name`.
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

    /// Things worth telling when the parameters are loaded.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(list) = &self.corporate_cidrs
            && !list.is_empty()
            && !list.has_ipv6()
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

/// Globs compared without regard to case.
#[derive(Debug, Clone, Default)]
pub struct GlobList {
    patterns: Vec<String>,
    set: GlobSet,
}

impl GlobList {
    /// Compiles `patterns`.
    ///
    /// # Errors
    /// The first pattern that is none.
    pub fn new(patterns: Vec<String>) -> Result<Self, globset::Error> {
        let mut set = GlobSetBuilder::new();
        for pattern in &patterns {
            set.add(
                GlobBuilder::new(pattern)
                    .case_insensitive(true)
                    .literal_separator(false)
                    .build()?,
            );
        }
        Ok(Self { set: set.build()?, patterns })
    }

    /// True where no pattern is given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// True where some pattern matches the whole of `text`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.set.is_match(text)
    }
}

impl<'de> Deserialize<'de> for GlobList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
