//! TLS for the sinks without HTTP, mail and syslog. Trusts the root certificates of the system and
//! those that the configuration adds.

use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Makes a connector. `ca` are additional root certificates, in PEM.
///
/// # Errors
/// A sentence where `ca` cannot be read, or where there are no root certificates at all.
pub(super) fn connector(ca: Option<&[u8]>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in ca.into_iter().flat_map(CertificateDer::pem_slice_iter) {
        roots.add(certificate.map_err(|e| format!("ca: {e}"))?).map_err(|e| format!("ca: {e}"))?;
    }
    if roots.is_empty() {
        return Err(
            "this system has no certificates of authorities; name a file with `ca`".to_owned()
        );
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}
