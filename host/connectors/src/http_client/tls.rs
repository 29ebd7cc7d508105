//! How connections are secured: rustls with ring, and the system's certificates.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::ConnectorError;

/// The configuration for an endpoint. The certificates of `ca_file` are trusted beside
/// those of the system. Where the endpoint is not secure, none are read.
pub(super) fn config(
    connector: &'static str,
    is_secure: bool,
    ca_file: Option<&Path>,
) -> Result<ClientConfig, ConnectorError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("ring has the ciphers of TLS 1.2 and 1.3");
    if !is_secure {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let extra = ca_file.map(|path| certificates(connector, path)).transpose()?.unwrap_or_default();
    let verifier = verifier(connector, extra, provider)?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

fn verifier(
    connector: &'static str,
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Verifier, ConnectorError> {
    Verifier::new_with_extra_roots(extra, provider).map_err(|error| {
        let reason = format!("cannot be checked: {error}; install the package `ca-certificates`, or set `ca_file`");
        ConnectorError::field(connector, "url", reason)
    })
}

fn certificates(connector: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectorError> {
    let refuse = |reason: String| {
        ConnectorError::field(connector, "ca_file", format!("is `{}`, which {reason}", path.display()))
    };
    let read = CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect::<Result<Vec<_>, _>>());
    match read {
        Ok(found) if found.is_empty() => Err(refuse("holds no certificate: it must be of PEM".to_owned())),
        Ok(found) => Ok(found),
        Err(pem::Error::Io(source)) => {
            Err(ConnectorError::File { connector, action: "read", path: path.to_owned(), source })
        }
        Err(error) => Err(refuse(format!("is no PEM: {error}"))),
    }
}
