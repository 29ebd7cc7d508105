//! Where a control plane answers, and as whom one speaks to it.

use std::fmt;
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::ClientError;

/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection on which nothing comes back for this long is probed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A control plane, and the caller's credentials there.
#[derive(Clone, Default)]
pub struct Target {
    /// `host:port`, or a URL with `http` or `https`. Without a scheme it is plain text.
    pub address: String,
    /// A token of the control plane; none where it asks for none, or for a certificate.
    pub token: Option<String>,
    /// How to speak TLS; only looked at where the address says `https`.
    pub tls: Tls,
}

/// Certificates for a connection over TLS, as PEM.
#[derive(Clone, Default)]
pub struct Tls {
    /// Authorities that are trusted besides the system's.
    pub authorities: Option<Vec<u8>>,
    /// The caller's certificate and its key.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

/// Why an address names no control plane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// It is no address.
    #[error("`{address}` is no address of a control plane")]
    Malformed {
        /// As it was written.
        address: String,
    },
    /// A token would travel in plain text.
    #[error("`{address}` is beyond this machine and has no TLS: the token would travel in plain text")]
    Exposed {
        /// As it was written.
        address: String,
    },
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Target {
    /// The control plane at `address`, without credentials.
    #[must_use]
    pub fn plain(address: impl Into<String>) -> Self {
        Self { address: address.into(), ..Self::default() }
    }

    /// Connects.
    pub(crate) async fn connect(&self) -> Result<Channel, ClientError> {
        let endpoint = self.endpoint()?;
        endpoint.connect().await.map_err(|source| ClientError::Unreachable { address: self.address.clone(), source })
    }

    fn endpoint(&self) -> Result<Endpoint, ClientError> {
        let malformed = || TargetError::Malformed { address: self.address.clone() };
        let (is_tls, authority) = match self.address.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return Err(malformed().into()),
            None => (false, self.address.as_str()),
        };
        let authority = authority.trim_end_matches('/');
        // `:8080` is this machine, as servers print it
        let authority = if authority.starts_with(':') { format!("127.0.0.1{authority}") } else { authority.to_owned() };
        if authority.contains('/') || authority.contains('@') {
            return Err(malformed().into());
        }
        if self.token.is_some() && !is_tls && !is_loopback(&authority) {
            return Err(TargetError::Exposed { address: self.address.clone() }.into());
        }
        let scheme = if is_tls { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{authority}")).map_err(|_| malformed())?;
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        if !is_tls {
            return Ok(endpoint);
        }
        let mut tls = ClientTlsConfig::new().with_native_roots();
        if let Some(authorities) = &self.tls.authorities {
            tls = tls.ca_certificate(Certificate::from_pem(authorities));
        }
        if let Some((certificate, key)) = &self.tls.identity {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        endpoint.tls_config(tls).map_err(|source| ClientError::Tls { address: self.address.clone(), source })
    }
}

/// Whether an authority is this machine's loopback, by what it says.
fn is_loopback(authority: &str) -> bool {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(address: &str, token: Option<&str>) -> Option<String> {
        let target = Target { address: address.to_owned(), token: token.map(str::to_owned), tls: Tls::default() };
        target.endpoint().err().map(|error| error.to_string())
    }

    #[test]
    fn addresses_are_taken_with_and_without_a_scheme() {
        for address in ["127.0.0.1:8080", ":8080", "localhost:8080", "http://[::1]:8080/", "example.org:80"] {
            assert_eq!(refusal(address, None), None, "{address}");
        }
        for address in ["", "ftp://a:1", "a b:1", "http://a:1/path", "http://me@a:1"] {
            assert_eq!(
                refusal(address, None),
                Some(format!("`{address}` is no address of a control plane")),
                "{address}"
            );
        }
    }

    #[test]
    fn a_token_never_leaves_the_machine_in_plain_text() {
        assert_eq!(refusal("127.0.0.1:1", Some("t")), None);
        assert_eq!(refusal("[::1]:1", Some("t")), None);
        assert_eq!(refusal("https://example.org:1", Some("t")), None);
        let text = "`example.org:1` is beyond this machine and has no TLS: the token would travel in plain text";
        assert_eq!(refusal("example.org:1", Some("t")), Some(text.to_owned()));
    }
}
