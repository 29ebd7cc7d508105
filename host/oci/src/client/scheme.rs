//! Whether a registry is spoken to with TLS.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::StatusCode;

use super::Client;
use super::answer::is_distrust;
use crate::{OciError, RegistryRef};

/// How long a registry may take to show what it speaks.
const PROBE: Duration = Duration::from_secs(5);

/// With TLS or without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Https,
    Http,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Https => "https",
            Self::Http => "http",
        })
    }
}

impl Client {
    /// How to speak to a registry: with TLS, unless it is on this machine or listed as
    /// insecure and answers without.
    pub(super) async fn scheme(&self, reference: &RegistryRef) -> Result<Scheme, OciError> {
        if !self.may_be_plain(reference.registry()) {
            return Ok(Scheme::Https);
        }
        let host = reference.api_host();
        if let Some(known) = self.inner.schemes.lock().expect("nobody panics while holding it").get(host) {
            return Ok(*known);
        }
        let Some(found) = self.probe(host).await? else { return Ok(Scheme::Http) };
        self.inner.schemes.lock().expect("nobody panics while holding it").insert(host.to_owned(), found);
        Ok(found)
    }

    /// Finds out what a registry speaks; none where nobody answers. Nothing is shown to it.
    /// Plain first: a server with TLS refuses that at once, while one without may wait for
    /// the end of a line that TLS never sends.
    async fn probe(&self, host: &str) -> Result<Option<Scheme>, OciError> {
        let http = self.direct()?;
        let has_declined = match http.get(format!("http://{host}/v2/")).timeout(PROBE).send().await {
            // so a server with TLS refuses, and one that wants it sends its clients on
            Ok(answer) if answer.status() == StatusCode::BAD_REQUEST || answer.status().is_redirection() => true,
            Ok(_) => return Ok(Some(Scheme::Http)),
            Err(error) if error.is_connect() => return Ok(None),
            Err(_) => false,
        };
        match http.get(format!("https://{host}/v2/")).timeout(PROBE).send().await {
            Err(error) if !is_distrust(&error) && !has_declined => Ok(None),
            _ => Ok(Some(Scheme::Https)),
        }
    }

    /// Whether plain HTTP may be spoken with `registry`.
    pub(super) fn may_be_plain(&self, registry: &str) -> bool {
        is_loopback(registry) || self.inner.options.insecure.iter().any(|listed| listed == registry)
    }
}

/// Whether a host, with or without port, is this machine.
pub(crate) fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') && !host.is_empty() => host,
        _ => registry,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        for here in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(here), "{here}");
        }
        for elsewhere in ["ghcr.io", "localhost.example:5000", "10.0.0.1:5000", "[fe80::1]:5000", "127.0.0.1.nip.io"] {
            assert!(!is_loopback(elsewhere), "{elsewhere}");
        }
    }
}
