//! The roles that services of the vendor take, a versioned list that comes with the product. What such a role does at a
//! service's address is an act of the service and not of a person.

use super::globs::GlobList;
use serde::Deserialize;
use std::sync::OnceLock;

/// The list as a file.
const FILE: &str = include_str!("../../service_roles.toml");

/// The service roles that come with the product.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRoles {
    /// Day of the last change.
    pub version: String,
    /// The roles.
    pub roles: Vec<ServiceRole>,
}

/// One service role.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRole {
    /// Glob of the role's name.
    pub role: String,
    /// The service that takes it.
    pub service: String,
    /// Addresses of the service, such as `ess.aliyuncs.com`; empty where only the linked service can take the role.
    #[serde(default)]
    pub from: Vec<String>,
    #[serde(skip)]
    globs: GlobList,
}

impl ServiceRoles {
    /// The list that comes with the product.
    ///
    /// # Panics
    /// Where the file of the product is invalid, which a test excludes.
    #[must_use]
    pub fn built_in() -> &'static Self {
        static ROLES: OnceLock<ServiceRoles> = OnceLock::new();
        ROLES.get_or_init(|| Self::parse(FILE).expect("the list of the product is valid"))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut roles: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        for role in &mut roles.roles {
            role.globs = GlobList::new(vec![role.role.clone()]).map_err(|e| e.to_string())?;
        }
        Ok(roles)
    }

    /// The service role with the name `role`.
    #[must_use]
    pub fn find(&self, role: &str) -> Option<&ServiceRole> {
        self.roles.iter().find(|known| known.globs.matches(role))
    }

    /// The service role with the name `role`, where a service acts with it: the source address `source` is a service's and not
    /// an address of the internet, from which a stolen credential would be used.
    #[must_use]
    pub fn acting(
        &self,
        role: &str,
        source: Option<&str>,
        class: Option<&str>,
    ) -> Option<&ServiceRole> {
        let found = self.find(role)?;
        let source = source.unwrap_or_default().trim();
        let is_service = match class {
            // The trail says as much of anybody who calls through the vendor's network. Whoever may change the trust policy of
            // a role that is linked to no service can take that role.
            Some("internal" | "missing") | None => found.from.is_empty(),
            Some("service") => {
                found.from.is_empty()
                    || found.from.iter().any(|own| own.eq_ignore_ascii_case(source))
            }
            _ => false,
        };
        is_service.then_some(found)
    }
}

impl ServiceRole {
    /// The text that a suppressed finding shows.
    #[must_use]
    pub fn label(&self) -> String {
        format!("service_roles: {} ({})", self.role, self.service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_acts_with_its_role_at_its_own_address_only() {
        let roles = ServiceRoles::built_in();
        let acts = |role, source, class| roles.acting(role, Some(source), Some(class)).is_some();
        assert!(acts("aliyunserviceroleforautoscaling", "ess.aliyuncs.com", "service"));
        assert!(acts("AliyunServiceRoleForSas", "Internal", "internal"));
        assert!(acts("OOSServiceRole", "oos.aliyuncs.com", "service"));
        assert!(!acts("OOSServiceRole", "ecs.aliyuncs.com", "service"));
        assert!(!acts("OOSServiceRole", "Internal", "internal"));
        assert!(!acts("OOSServiceRole", "", "missing"));
        assert!(!acts("AliyunServiceRoleForSas", "198.51.100.7", "ip"));
        assert!(!acts("AliyunServiceRoleForSas", "198.51.100.7, 10.0.0.1", "garbage"));
        assert!(!acts("admin", "ess.aliyuncs.com", "service"));
    }
}
