//! TLS with rustls, on its provider `ring`.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme, WantsVerifier};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::NAME;
use crate::ConnectorError;

/// Checks the server's certificate against its name and an authority: those of
/// `ca_file`, or without it those that the system trusts.
pub(super) fn checking(ca_file: Option<&Path>) -> Result<MakeRustlsConnect, ConnectorError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let error =
                |source| ConnectorError::File { connector: NAME, action: "read", path: path.to_owned(), source };
            let text = std::fs::read(path).map_err(error)?;
            let n_added = CertificateDer::pem_slice_iter(&text)
                .map_while(Result::ok)
                .filter(|certificate| roots.add(certificate.clone()).is_ok())
                .count();
            if n_added == 0 {
                let reason = format!("has no certificate of an authority in PEM form: `{}`", path.display());
                return Err(ConnectorError::field(NAME, "ca_file", reason));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                let reason = "is `verify_full`, but the system has no certificates of authorities: install them (Debian: `ca-certificates`), or name one with `ca_file`";
                return Err(ConnectorError::field(NAME, "tls", reason));
            }
        }
    }
    let config = builder(&provider()).with_root_certificates(roots).with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// Encrypts, and takes whatever server answers.
pub(super) fn trusting() -> MakeRustlsConnect {
    let provider = provider();
    let verifier = Arc::new(Anyone(Arc::clone(&provider)));
    let config = builder(&provider).dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    MakeRustlsConnect::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn builder(provider: &Arc<CryptoProvider>) -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .expect("ring has the ciphers of TLS 1.2 and 1.3")
}

/// Takes any certificate whose owner has its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
