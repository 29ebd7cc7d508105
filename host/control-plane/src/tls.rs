//! TLS for what listens: the server's certificate, and who signs its clients'.
//!
//! No I/O: the caller brings PEM texts. Invariant: a client certificate that is not
//! signed by the given authority ends the handshake; a client may show none, and then
//! needs a token.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

/// How a server speaks TLS. Cheap to clone.
#[derive(Clone)]
pub struct Tls(pub(crate) Arc<rustls::ServerConfig>);

/// Why certificates or a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A text is no PEM, or has nothing of the kind that is wanted.
    #[error("the {what} cannot be read: {reason}")]
    Unreadable {
        /// `certificate`, `key` or `client authority`.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not go together, or cannot be used for TLS.
    #[error("the certificate cannot be used with the key")]
    Unusable(#[source] rustls::Error),
    /// Certificates of the client authority cannot be used.
    #[error("the client authority cannot be used")]
    Authority(#[source] rustls::server::VerifierBuilderError),
}

impl Tls {
    /// From a certificate chain and its key, and where clients may show certificates the
    /// authorities that sign those; all as PEM.
    ///
    /// # Errors
    ///
    /// [`TlsError`] that says which of them cannot be used.
    pub fn from_pem(certificate: &[u8], key: &[u8], client_authority: Option<&[u8]>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(certificate, "certificate")?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| TlsError::Unreadable { what: "key", reason: error.to_string() })?;
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?;
        let builder = match client_authority {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem, "client authority")? {
                    roots.add(certificate).map_err(TlsError::Unusable)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(TlsError::Authority)?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }
}

fn certificates(pem: &[u8], what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |reason: String| TlsError::Unreadable { what, reason };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| unreadable(error.to_string()))?;
    if found.is_empty() { Err(unreadable("it has no certificate".to_owned())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_pem_is_named() {
        let error = |certificate: &[u8], key: &[u8], authority| {
            Tls::from_pem(certificate, key, authority).err().unwrap().to_string()
        };
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
        assert_eq!(error(b"", &key, None), "the certificate cannot be read: it has no certificate");
        assert!(error(&certificate, b"x", None).starts_with("the key cannot be read"));
        assert!(error(&certificate, &key, Some(b"x")).starts_with("the client authority cannot be read"));
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let other = other.signing_key.serialize_pem().into_bytes();
        assert_eq!(error(&certificate, &other, None), "the certificate cannot be used with the key");
        assert!(Tls::from_pem(&certificate, &key, Some(&certificate)).is_ok());
    }
}
