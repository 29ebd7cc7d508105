//! The HTTP client, and how its connections are secured: rustls with ring, and the
//! system's certificates.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::{Attempt, Policy};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::Verifier;

use super::scheme::is_loopback;
use super::{ClientOptions, with_port};
use crate::OciError;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most redirects of one request.
const MAX_REDIRECTS: usize = 5;

/// What becomes of redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Redirects {
    /// They are followed, without credentials where they leave the registry: never from TLS
    /// to none, and without TLS only to the same host, this machine, or one that is listed.
    Follow,
    /// They are answers like others.
    Refuse,
}

/// Makes the HTTP client. Proxies of the environment are not used.
pub(super) fn http_client(options: &ClientOptions, redirects: Redirects) -> Result<reqwest::Client, OciError> {
    let mut extra = Vec::new();
    for path in &options.ca_files {
        extra.extend(certificates(path)?);
    }
    let tls = |reason: String| OciError::Tls { reason };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| tls(error.to_string()))?;
    let verifier = Verifier::new_with_extra_roots(extra, provider).map_err(|error| tls(error.to_string()))?;
    let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
    let policy = match redirects {
        Redirects::Refuse => Policy::none(),
        Redirects::Follow => {
            let insecure = options.insecure.clone();
            Policy::custom(move |attempt| follow(attempt, &insecure))
        }
    };
    reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .user_agent(concat!("flowctl/", env!("CARGO_PKG_VERSION")))
        .redirect(policy)
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .build()
        .map_err(|error| tls(error.to_string()))
}

fn follow(attempt: Attempt<'_>, insecure: &[String]) -> reqwest::redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("it redirects too often");
    }
    let may_go = attempt.previous().iter().all(|from| may_lead(from, attempt.url(), insecure));
    match may_go {
        true => attempt.follow(),
        false => attempt.error("it redirects to where there is no TLS"),
    }
}

/// Whether what was asked of `from` may go on to `to`: with TLS anywhere; without only from
/// where there was none, to the same host, this machine, or one that is listed.
pub(super) fn may_lead(from: &Url, to: &Url, insecure: &[String]) -> bool {
    let is_known = || {
        let host = with_port(to);
        from.host_str() == to.host_str() || is_loopback(&host) || insecure.contains(&host)
    };
    to.scheme() == "https" || from.scheme() == "http" && to.scheme() == "http" && is_known()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_to_where_there_is_no_tls_but_to_who_may_have_none() {
        let insecure = ["r.example:5000".to_owned()];
        for (from, to, want) in [
            ("https://r.example/a", "https://s.example/b", true),
            ("https://r.example/a", "http://r.example/b", false),
            ("https://r.example/a", "http://127.0.0.1/b", false),
            ("http://127.0.0.1:1/a", "https://s.example/b", true),
            ("http://127.0.0.1:1/a", "http://127.0.0.1:2/b", true),
            ("http://10.0.0.1:1/a", "http://10.0.0.1:2/b", true),
            ("http://10.0.0.1:1/a", "http://r.example:5000/b", true),
            ("http://10.0.0.1:1/a", "http://r.example:5001/b", false),
            ("http://10.0.0.1:1/a", "http://s.example/b", false),
            ("http://10.0.0.1:1/a", "ftp://10.0.0.1/b", false),
        ] {
            let may = may_lead(&from.parse().unwrap(), &to.parse().unwrap(), &insecure);
            assert_eq!(may, want, "{from} to {to}");
        }
    }
}
