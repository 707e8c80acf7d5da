//! The address policy of sinks: a sink must be at a public address, or at an internal address that
//! the configuration lists.
//!
//! The URL is checked when the configuration is read, and every resolved address again before each
//! connection. So a host name that later resolves to an internal address is refused (DNS
//! rebinding).

use ipnet::IpNet;
pub use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Which addresses a sink may connect to: public ones, and internal networks that the configuration
/// lists in `private_allowed`.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy(Arc<Vec<IpNet>>);

impl AddressPolicy {
    /// Makes a policy that allows the internal networks `private_allowed`.
    #[must_use]
    pub fn new(private_allowed: Vec<IpNet>) -> Self {
        Self(Arc::new(private_allowed))
    }

    fn permits(&self, address: IpAddr) -> bool {
        let address = embedded_v4(address);
        !is_internal(address) || self.0.iter().any(|network| network.contains(&address))
    }

    /// Refuses an internal address that is not listed.
    ///
    /// # Errors
    /// A sentence with the configuration line that would allow it.
    pub fn check(&self, address: IpAddr) -> Result<(), String> {
        if self.permits(address) {
            return Ok(());
        }
        let address = embedded_v4(address);
        Err(format!(
            "{address} is an internal address; if it is meant, list it: private_allowed = [\"{address}/{}\"]",
            prefix_length(address)
        ))
    }

    /// Parses the URL of a sink.
    ///
    /// # Errors
    /// A sentence where `text` is not a URL, has a scheme other than `http` and `https`, contains a
    /// user name or password, or has an internal host that is not listed. The sentence never quotes
    /// the URL, which may hold a secret.
    pub fn parse_url(&self, text: &str) -> Result<Url, String> {
        let url = Url::parse(text).map_err(|e| format!("it is no URL: {e}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("its scheme must be https (or http)".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it must not hold a user name or password".to_owned());
        }
        self.check_literal_host(&url)?;
        let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
        if (host == "localhost" || host.ends_with(".localhost"))
            && !self.permits(IpAddr::V4(Ipv4Addr::LOCALHOST))
        {
            return Err(format!(
                "{host} is an internal address; if it is meant, list it: private_allowed = [\"127.0.0.1/32\"]"
            ));
        }
        Ok(url)
    }

    /// Checks the host of `url` where it is an IP address: such a host is never resolved, so
    /// [`Self::resolve`] does not see it.
    ///
    /// # Errors
    /// A sentence, as for [`Self::check`].
    pub(super) fn check_literal_host(&self, url: &Url) -> Result<(), String> {
        let host = url.host_str().ok_or_else(|| "it has no host".to_owned())?;
        // The URL parser has normalized decimal, octal and short spellings.
        match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => self.check(address),
            Err(_) => Ok(()),
        }
    }

    /// Resolves `host` and returns its addresses if all of them are allowed.
    ///
    /// # Errors
    /// A sentence where `host` does not resolve or one of its addresses is not allowed.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let found = tokio::net::lookup_host((host, port))
            .await
            .map_err(|e| format!("`{host}` is not found: {e}"))?;
        let addresses: Vec<SocketAddr> = found.collect();
        addresses.iter().try_for_each(|address| self.check(address.ip()))?;
        if addresses.is_empty() { Err(format!("`{host}` has no address")) } else { Ok(addresses) }
    }
}

impl Resolve for AddressPolicy {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.clone();
        Box::pin(async move {
            let addresses = Self::resolve(&policy, name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The prefix length of a network of one address.
fn prefix_length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Returns the IPv4 address that an IPv6 address embeds, else `address`: a connection would reach
/// the IPv4 address.
fn embedded_v4(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        // IPv4-mapped, IPv4-compatible, NAT64 (well-known and local prefix), 6to4.
        (0, 0, 0, 0, 0, 0xffff) => v4(g, h),
        (0, 0, 0, 0, 0, 0) if g != 0 => v4(g, h),
        (0x64, 0xff9b, 0, 0, 0, 0) | (0x64, 0xff9b, 1, ..) => v4(g, h),
        (0x2002, ..) => v4(b, c),
        _ => address,
    }
}

/// True for an address that belongs to no public host.
fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                // Carrier-grade NAT; the metadata service of Alibaba Cloud is in this range too.
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b))
        }
        IpAddr::V6(v6) => is_internal_v6(v6),
    }
}

fn is_internal_v6(v6: Ipv6Addr) -> bool {
    let first = v6.segments()[0];
    v6.is_loopback()
        || v6.is_unspecified()
        || v6.is_multicast()
        || first & 0xfe00 == 0xfc00
        || first & 0xffc0 == 0xfe80
        || first & 0xffc0 == 0xfec0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_internal_host_is_refused() {
        let strict = AddressPolicy::default();
        for internal in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://127.0.0.1./",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://[64:ff9b:1::10.0.0.1]/",
            "http://[2002:7f00:1::]/",
            "http://[fe80::1]/",
            "http://[fd00::1]/",
            "http://[::]/",
            "http://0.0.0.0/",
            "http://0/",
            "http://10.1.2.3/",
            "http://172.16.0.1/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://100.100.100.200/latest/meta-data",
            "http://198.18.0.1/",
            "http://255.255.255.255/",
            "http://１２７.０.０.１/",
            "http://127。0。0。1/",
        ] {
            assert!(strict.parse_url(internal).is_err(), "{internal}");
        }
        for wrong in [
            "ftp://example.com/",
            "file:///etc/passwd",
            "http://user:pass@example.com/",
            "http://user@example.com/",
            "example.com",
            "",
        ] {
            let error = strict.parse_url(wrong).expect_err(wrong);
            assert!(!error.contains("pass@"), "{error}");
        }
        for public in [
            "https://oapi.dingtalk.com/robot/send?access_token=x",
            "http://203.0.113.9/",
            "https://[2001:db8::1]/",
        ] {
            assert!(strict.parse_url(public).is_ok(), "{public}");
        }
    }

    #[test]
    fn listed_networks_are_allowed_and_no_others() {
        let policy = AddressPolicy::new(vec![
            "127.0.0.1/32".parse().expect("a network"),
            "10.1.0.0/16".parse().expect("a network"),
        ]);
        for allowed in [
            "http://127.0.0.1:8080/",
            "http://localhost/",
            "http://10.1.200.3/",
            "http://[::ffff:10.1.0.1]/",
        ] {
            assert!(policy.parse_url(allowed).is_ok(), "{allowed}");
        }
        for internal in ["http://127.0.0.2/", "http://10.2.0.1/"] {
            assert!(policy.parse_url(internal).is_err(), "{internal}");
        }
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_an_internal_address_is_refused() {
        let error = AddressPolicy::default().resolve("localhost", 1).await.expect_err("inside");
        assert!(error.contains("internal address"), "{error}");
        AddressPolicy::new(vec![
            "127.0.0.0/8".parse().expect("a network"),
            "::1/128".parse().expect("a network"),
        ])
        .resolve("localhost", 1)
        .await
        .expect("listed");
    }
}
