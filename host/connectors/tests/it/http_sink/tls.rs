//! TLS with an authority of one's own.

use flowctl_runtime::Fault;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;

/// A server that shows a certificate for `name`, and the authority's own as PEM.
async fn secure_server(name: &str) -> (HttpServer, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages.push(KeyUsagePurpose::KeyCertSign);
    let authority = params.self_signed(&key).unwrap();
    let server_key = KeyPair::generate().unwrap();
    let params_of_server = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params_of_server.signed_by(&server_key, &Issuer::new(params, key)).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(server_key.serialize_der().into()))
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = HttpServer::start_behind(move |stream| acceptor.accept(stream), |_| Reply::new(200, "")).await;
    (server, authority.pem())
}

#[tokio::test]
async fn an_authority_in_a_file_is_trusted() {
    let (server, authority) = secure_server("127.0.0.1").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority).unwrap();
    let url = format!("https://{}/events", server.address());
    let mut sink = posting(&url, json!({"ca_file": file.path()}));
    assert_eq!(sink.write(&points("a", &[1])).await, Ok(vec![]));
    assert_eq!(server.requests()[0].path, "/events");
}

#[tokio::test]
async fn certificates_that_are_not_trusted_end_the_run_with_the_remedy() {
    let (server, authority) = secure_server("example.org").await;
    let (_, other) = secure_server("127.0.0.1").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    // of the right authority for another host, and of another authority
    for authority in [authority, other] {
        std::fs::write(file.path(), authority).unwrap();
        let url = format!("https://{}", server.address());
        let fault = posting(&url, json!({"ca_file": file.path(), "give_up_after": "0"}))
            .write(&points("a", &[1]))
            .await
            .unwrap_err();
        let Fault::Fatal(reason) = &fault else { panic!("{fault:?}") };
        assert!(reason.contains("its certificate is not trusted: ") && reason.contains("`ca_file`"), "{reason}");
    }
    assert!(server.requests().is_empty());
}
