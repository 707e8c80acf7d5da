//! The source address of a call and the address of its client.

use super::parameters;
use crate::event::{Event, Field, is_placeholder};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The classified value of `sourceIpAddress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceAddress {
    /// One IP address; IPv4-mapped IPv6 is converted to IPv4.
    Ip(IpAddr),
    /// The literal `Internal`: a call from inside the cloud, by a service or a person.
    Internal,
    /// The host name of a cloud service.
    Service,
    /// Absent, empty or a placeholder such as `-` or `null`.
    Missing,
    /// Anything else: a masked address, a list, a range.
    Unparsable,
}

/// The field that `client_ip` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientIpProvenance {
    /// `sourceIpAddress`, which the platform writes.
    SourceIpAddress,
    /// A request parameter, which the caller can choose.
    RequestParameter,
}

impl ClientIpProvenance {
    /// The name in the column `client_ip_provenance`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SourceIpAddress => "source_ip_address",
            Self::RequestParameter => "request_parameter",
        }
    }
}

impl SourceAddress {
    /// The name in the column `source_class`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ip(_) => "ip",
            Self::Internal => "internal",
            Self::Service => "service",
            Self::Missing => "missing",
            Self::Unparsable => "garbage",
        }
    }

    /// Classifies the value of `sourceIpAddress`.
    #[must_use]
    pub fn parse(text: Option<&str>) -> Self {
        let text = text.unwrap_or("").trim();
        if is_placeholder(text) {
            return Self::Missing;
        }
        if let Some(ip) = parse_ip(text) {
            return Self::Ip(ip);
        }
        if text.eq_ignore_ascii_case("internal") {
            return Self::Internal;
        }
        if is_host_name(text) { Self::Service } else { Self::Unparsable }
    }

    /// The 16 bytes of the column `source_ip`; `None` where the value is no IP address.
    #[must_use]
    pub fn bytes(self) -> Option<[u8; 16]> {
        match self {
            Self::Ip(ip) => Some(to_bytes(ip)),
            _ => None,
        }
    }
}

/// `ip` as 16 bytes in network order, IPv4 mapped into IPv6.
#[must_use]
pub fn to_bytes(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// The address that 16 bytes hold, the inverse of [`to_bytes`].
#[must_use]
pub fn from_bytes(bytes: [u8; 16]) -> IpAddr {
    canonical(IpAddr::V6(Ipv6Addr::from(bytes)))
}

fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// Parses one IP address, with or without brackets, port and zone id; IPv4-mapped IPv6 is converted to IPv4. `None` for
/// anything else, lists and ranges included.
#[must_use]
pub fn parse_ip(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        return Some(IpAddr::V4(v4));
    }
    // Longer than any address with zone and port: not worth parsing.
    if text.len() > 80 {
        return None;
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        let port_fits = after.is_empty() || after.strip_prefix(':').is_some_and(is_port);
        return if port_fits { parse_v6(inside) } else { None };
    }
    if let Some((host, port)) = text.split_once(':')
        && !port.contains(':')
    {
        return if is_port(port) { host.parse::<Ipv4Addr>().ok().map(IpAddr::V4) } else { None };
    }
    parse_v6(text)
}

fn parse_v6(text: &str) -> Option<IpAddr> {
    let address = match text.split_once('%') {
        Some((address, zone))
            if !zone.is_empty()
                && zone.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) =>
        {
            address
        }
        Some(_) => return None,
        None => text,
    };
    address.parse::<Ipv6Addr>().ok().map(|v6| canonical(IpAddr::V6(v6)))
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// True for a host name such as `ecs.aliyuncs.com`, but not for a masked address such as `192.168.XX.XX`.
fn is_host_name(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let label_fits = |label: &&str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let top = labels[labels.len() - 1];
    text.len() <= 253
        && labels.len() >= 2
        && labels.iter().all(label_fits)
        && top.len() >= 2
        && top.bytes().all(|b| b.is_ascii_alphabetic())
        // A masked IPv4 address starts with a number.
        && !labels[0].bytes().all(|b| b.is_ascii_digit())
}

/// The IP address of the client and the field it comes from: `sourceIpAddress`, or for `Internal`
/// calls the request parameter `UserClientIp`. `None` if that field holds no IP address.
#[must_use]
pub fn client(event: &Event<'_>, source: &SourceAddress) -> Option<(IpAddr, ClientIpProvenance)> {
    match source {
        SourceAddress::Ip(ip) => Some((*ip, ClientIpProvenance::SourceIpAddress)),
        SourceAddress::Internal => {
            parameters::request_parameter(event, b"serClientIp", "UserClientIp")
                .and_then(|text| parse_ip(&text))
                .map(|ip| (ip, ClientIpProvenance::RequestParameter))
        }
        _ => None,
    }
    .filter(|_| event.get(Field::SourceIpAddress).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn classes_and_canonical_addresses() {
        for (text, class, ip) in [
            ("203.209.240.173", "ip", "203.209.240.173"),
            (" 203.0.113.9 ", "ip", "203.0.113.9"),
            ("203.0.113.9:443", "ip", "203.0.113.9"),
            ("2001:DB8:0:0::1", "ip", "2001:db8::1"),
            ("[2001:db8::1]:8443", "ip", "2001:db8::1"),
            ("fe80::1%eth0", "ip", "fe80::1"),
            ("::ffff:198.51.100.7", "ip", "198.51.100.7"),
            ("100.64.0.1", "ip", "100.64.0.1"),
            ("Internal", "internal", ""),
            ("INTERNAL", "internal", ""),
            ("actiontrail.aliyuncs.com", "service", ""),
            ("ecs.aliyuncs.com", "service", ""),
            ("", "missing", ""),
            ("  ", "missing", ""),
            ("-", "missing", ""),
            ("null", "missing", ""),
            ("192.168.XX.XX", "garbage", ""),
            ("42.120.XX.XX", "garbage", ""),
            ("10.10.**.**", "garbage", ""),
            ("10.0.0.1, 8.8.8.8", "garbage", ""),
            ("203.0.113.0/24", "garbage", ""),
            ("256.1.1.1", "garbage", ""),
            ("010.1.1.1", "garbage", ""),
            ("1.2.3", "garbage", ""),
            ("2130706433", "garbage", ""),
            ("localhost", "garbage", ""),
            ("[2001:db8::1", "garbage", ""),
            ("203.0.113.9:99999", "garbage", ""),
        ] {
            let source = SourceAddress::parse(Some(text));
            assert_eq!(source.name(), class, "{text}");
            let shown =
                if let SourceAddress::Ip(ip) = source { ip.to_string() } else { String::new() };
            assert_eq!(shown, ip, "{text}");
        }
        assert_eq!(SourceAddress::parse(None).name(), "missing");
        assert_eq!(SourceAddress::parse(Some(&"1".repeat(5_000))).name(), "garbage");
    }

    #[test]
    fn bytes_go_both_ways() {
        for text in ["198.51.100.7", "2001:db8::1"] {
            let ip: IpAddr = text.parse().expect("an address");
            assert_eq!(from_bytes(to_bytes(ip)), ip);
        }
    }

    #[test]
    fn internal_calls_take_the_callers_word_and_say_so() {
        let mut event = Event::empty("");
        event.values[Field::SourceIpAddress as usize] = Some(Cow::Borrowed("Internal"));
        event.values[Field::RequestParameters as usize] =
            Some(Cow::Borrowed(r#"{"userClientIp":"198.51.100.7"}"#));
        let source = SourceAddress::parse(event.get(Field::SourceIpAddress));
        let (ip, provenance) = client(&event, &source).expect("an address");
        assert_eq!(
            (ip.to_string().as_str(), provenance.name()),
            ("198.51.100.7", "request_parameter")
        );
    }
}
