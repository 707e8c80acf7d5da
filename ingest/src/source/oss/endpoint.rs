//! The address of a bucket, checked before a client is made of it.

use std::net::IpAddr;
use url::{Host, Url};

/// The URL of the bucket: with virtual-hosted style its name is part of the host, else of the path.
///
/// # Errors
/// A sentence that names the key of the configuration which is wrong.
pub(super) fn bucket_url(
    endpoint: &str,
    bucket: &str,
    virtual_hosted: bool,
) -> Result<String, String> {
    let is_bucket_name = |text: &str| {
        (1..=255).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    if !is_bucket_name(bucket) {
        return Err(format!(
            "`bucket` is `{bucket}`; the name of a bucket has letters, digits, `-`, `.` and `_` only; a folder of it goes to `prefix`"
        ));
    }
    let url = Url::parse(endpoint).map_err(|e| {
        format!("`endpoint` is `{endpoint}`, which is no URL ({e}); write for instance `https://oss-cn-hangzhou.aliyuncs.com`")
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("`endpoint` is `{endpoint}`; write it with its scheme, `https://...`"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "`endpoint` is `{endpoint}`; it is the address of the store without a path; the bucket goes to `bucket`, a folder of it to `prefix`"
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`endpoint` holds a name or password; keys go to `access_key_id` and `access_key_secret`".to_owned());
    }
    if !virtual_hosted {
        return Ok(endpoint.to_owned());
    }
    let host = url.host_str().unwrap_or_default();
    if matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_)) | None) {
        return Err(format!(
            "`endpoint` is the address {host}, and the name of a bucket cannot be part of an address; write `virtual_hosted = false`, or an endpoint with a host name"
        ));
    }
    if host.starts_with(&format!("{bucket}.")) {
        return Ok(endpoint.to_owned());
    }
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let with_bucket = format!("{}://{bucket}.{host}{port}", url.scheme());
    // The client panics at a URL that it cannot parse.
    match Url::parse(&with_bucket) {
        Ok(parsed) if parsed.host_str().is_some_and(|host| host.parse::<IpAddr>().is_err()) => {
            Ok(with_bucket)
        }
        _ => Err(format!(
            "`endpoint` and `bucket` make the host `{bucket}.{host}`, which is no host name; write `virtual_hosted = false`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_is_part_of_the_host_or_of_the_path() {
        let url = |endpoint, virtual_hosted| bucket_url(endpoint, "trail", virtual_hosted);
        let oss = "https://oss-cn-hangzhou.aliyuncs.com";
        assert_eq!(url(oss, true).as_deref(), Ok("https://trail.oss-cn-hangzhou.aliyuncs.com"));
        assert_eq!(url("http://s3.local:8333", true).as_deref(), Ok("http://trail.s3.local:8333"));
        let given = "https://trail.oss-cn-hangzhou.aliyuncs.com";
        assert_eq!(url(given, true).as_deref(), Ok(given));
        for address in ["http://127.0.0.1:8333", "http://[::1]:8333"] {
            assert_eq!(url(address, false).as_deref(), Ok(address));
        }
    }

    #[test]
    fn what_no_client_can_use_is_refused_by_name() {
        for (endpoint, bucket, named) in [
            ("http://127.0.0.1:8333", "trail", "virtual_hosted = false"),
            ("http://127.1", "trail", "virtual_hosted = false"),
            ("http://[::1]:8333", "trail", "virtual_hosted = false"),
            ("http://2130706433", "trail", "virtual_hosted = false"),
            ("https://", "trail", "`endpoint`"),
            ("https://a b", "trail", "`endpoint`"),
            ("https://host:99999", "trail", "`endpoint`"),
            ("oss-cn-hangzhou.aliyuncs.com", "trail", "`endpoint`"),
            ("ftp://host", "trail", "scheme"),
            ("https://host/trail", "trail", "`prefix`"),
            ("https://id:key@host", "trail", "access_key_id"),
            ("https://host", "", "`bucket`"),
            ("https://host", "a/b", "`prefix`"),
            ("https://host", "a b", "`bucket`"),
        ] {
            let error = bucket_url(endpoint, bucket, true).expect_err(endpoint);
            assert!(error.contains(named), "{endpoint} {bucket}: {error}");
        }
    }
}
