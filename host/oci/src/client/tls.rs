//! The HTTP client, and how its connections are secured: rustls with ring, and the
//! system's certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::redirect::{Attempt, Policy};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use crate::OciError;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most redirects of one request.
const MAX_REDIRECTS: usize = 5;

/// Makes the HTTP client. A redirect is followed, without credentials where it leaves the
/// registry, but never from TLS to none. Proxies of the environment are not used.
pub(super) fn http_client(ca_files: &[PathBuf]) -> Result<reqwest::Client, OciError> {
    let mut extra = Vec::new();
    for path in ca_files {
        extra.extend(certificates(path)?);
    }
    let tls = |reason: String| OciError::Tls { reason };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(error.to_string()))?;
    let verifier = Verifier::new_with_extra_roots(extra, provider).map_err(|error| tls(error.to_string()))?;
    let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .user_agent(concat!("flowctl/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::custom(follow))
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
        .map_err(|error| tls(error.to_string()))
}

fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let was_secure = attempt.previous().iter().any(|url| url.scheme() == "https");
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("it redirects too often");
    }
    if was_secure && attempt.url().scheme() != "https" {
        return attempt.error("it redirects to where there is no TLS");
    }
    attempt.follow()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OciError> {
    let refuse = |reason: String| OciError::Certificates { path: path.to_owned(), reason };
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(found) if found.is_empty() => Err(refuse("it holds no certificate: it must be of PEM".to_owned())),
        Ok(found) => Ok(found),
        Err(error) => Err(refuse(error.to_string())),
    }
}
