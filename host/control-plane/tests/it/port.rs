//! The port: HTTP beside gRPC, TLS, who may listen where, and clients that misbehave.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use flowctl_control_plane::tenants::{Policies, Role};
use flowctl_control_plane::{ServeError, ServeSettings, Server, Tls};
use flowctl_proto::admin::GetHostRequest;
use flowctl_proto::admin::RunStatus;
use flowctl_proto::admin::host_service_client::HostServiceClient;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Code;
use tonic::codegen::http::Uri;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::support::{Host, Setup, eventually, within};

/// What a request over HTTP/1.1 is answered: its status and its body.
async fn http<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, path: &str, headers: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: flowctl\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // a server that closes without a farewell is no concern of ours
    let _ = within(stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

async fn get(address: SocketAddr, path: &str, headers: &str) -> (u16, String) {
    http(TcpStream::connect(address).await.unwrap(), path, headers).await
}

#[tokio::test]
async fn health_is_told_to_everybody_and_figures_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    assert_eq!(get(host.address, "/metrics", "").await.0, 200, "without a credential in the store");
    host.caller_of("acme", Role::Viewer).await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(host.address, path, "").await.0, 200, "{path}");
    }
    for headers in ["", "authorization: Bearer flowctl_x\r\n", "authorization: Basic x\r\n"] {
        assert_eq!(get(host.address, "/metrics", headers).await.0, 401, "{headers}");
        assert_eq!(get(host.address, "/", headers).await.0, 401, "{headers}");
    }
    let token = host.plane.credentials.create_token(&"acme".parse().unwrap(), Role::Viewer, "", None).await.unwrap();
    let authorization = format!("authorization: Bearer {}\r\n", token.token);
    assert_eq!(get(host.address, "/metrics", &authorization).await.0, 200);
    assert_eq!(get(host.address, "/", &authorization).await.0, 404);
    host.plane.controller.drain(Duration::ZERO).await;
    assert_eq!(get(host.address, "/readyz", "").await.0, 503);
    host.end().await;
}

#[tokio::test]
async fn a_scrape_sees_the_nodes_of_its_tenant_alone() {
    let dir = tempfile::tempdir().unwrap();
    let policies = Policies::parse("tenants: {acme: {connectors: ['*']}, other: {connectors: ['*']}}").unwrap();
    let host = Host::with(dir.path(), Setup { policies, ..Setup::default() }).await;
    for tenant in ["acme", "other"] {
        let caller = host.caller_of(tenant, Role::Operator).await;
        let id = caller.apply(&format!("name=of-{tenant}")).await.unwrap().id;
        caller.until(&id, RunStatus::Running).await;
        eventually(async || (caller.run(&id).await.events_out > 0).then_some(())).await;
    }
    let token = host.plane.credentials.create_token(&"acme".parse().unwrap(), Role::Viewer, "", None).await.unwrap();
    let (_, text) = get(host.address, "/metrics", &format!("authorization: Bearer {}\r\n", token.token)).await;
    assert!(!text.contains("other"), "{text}");
    let labels = r#"{tenant="acme",pipeline="of-acme",node="out""#;
    for name in [
        "flowctl_node_events_in_total",
        "flowctl_node_events_out_total",
        "flowctl_node_bytes_in_total",
        "flowctl_node_bytes_out_total",
        "flowctl_node_rejected_total",
        "flowctl_node_restarts_total",
        "flowctl_node_cpu_seconds_total",
        "flowctl_node_swap_pause_seconds_total",
        "flowctl_node_memory_bytes",
        "flowctl_node_batch_seconds_count",
    ] {
        assert!(text.contains(&format!("{name}{labels}")), "{name}: {text}");
    }
    for line in [
        r#"flowctl_node_batch_seconds_bucket{le="+Inf",tenant="acme",pipeline="of-acme",node="out"} "#,
        r#"flowctl_runs{tenant="acme",status="running"} 1"#,
        r#"flowctl_components{tenant="acme",status="healthy"} 0"#,
        r#"flowctl_edge_batches{tenant="acme",pipeline="of-acme",from="in",to="out"} "#,
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.ends_with("# EOF\n"));
    host.end().await;
}

#[tokio::test]
async fn health_and_reflection_are_served_as_grpc() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let caller = host.caller().await;
    let mut health = HealthClient::new(caller.channel.clone());
    for service in ["", "flowctl.v1.ControlPlaneService", "flowctl.admin.v1.RunService"] {
        let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap().into_inner();
        assert_eq!(answer.status, 1, "{service}");
    }
    let mut reflection = ServerReflectionClient::new(caller.channel.clone());
    let list = MessageRequest::ListServices(String::new());
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut answers = reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = within(answers.message()).await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else { panic!("no services") };
    let names: Vec<_> = services.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"flowctl.v1.ControlPlaneService"), "{names:?}");
    assert!(names.contains(&"flowctl.admin.v1.PipelineService"), "{names:?}");
    host.end().await;
}

#[tokio::test]
async fn no_page_calls_through_a_browser() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    for path in ["/flowctl.admin.v1.HostService/GetHost", "/flowctl.admin.v1.RunService/StopRun", "/any"] {
        let (status, _) = get(host.address, path, "content-type: application/grpc\r\n").await;
        assert_eq!(status, 505, "{path}");
    }
    host.end().await;
}

#[tokio::test]
async fn clients_that_say_nothing_are_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let mut setup = Setup::default();
    setup.serve.head_timeout = Duration::from_millis(500);
    setup.serve.stranger_timeout = Duration::from_secs(1);
    let host = Host::with(dir.path(), setup).await;
    for start in
        ["", "P", "PRI", "GET / HT", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /healthz HTTP/1.1\r\nhost: a\r\n"]
    {
        let mut stream = TcpStream::connect(host.address).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // closed or reset, but not left open
        let _ = within(stream.read_to_end(&mut rest)).await;
    }
    // who was let in stays
    let caller = host.caller().await;
    caller.host().get_host(GetHostRequest {}).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    caller.host().get_host(GetHostRequest {}).await.unwrap();
    host.end().await;
}

#[tokio::test]
async fn a_busy_port_is_named_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let host = Host::start(dir.path()).await;
    let settings = ServeSettings { listen: host.address, ..ServeSettings::default() };
    let Err(error) = Server::bind(settings, host.plane.clone()).await else { panic!("it was bound twice") };
    assert_eq!(error.to_string(), format!("cannot listen on `{}`: the port is in use", host.address));
    assert!(error.hint().unwrap().contains("port 0"));
    host.end().await;
}

#[tokio::test]
async fn beyond_this_machine_it_takes_tls_and_a_credential() {
    let dir = tempfile::tempdir().unwrap();
    let (plane, _) = Host::plane(dir.path(), &Setup::default()).await;
    let made = certificates();
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let plain = || ServeSettings { listen, ..ServeSettings::default() };
    let tls = || ServeSettings { tls: Some(made.server()), ..plain() };
    let refused = async |settings| Server::bind(settings, plane.clone()).await.err();
    assert!(matches!(refused(plain()).await, Some(ServeError::PlainText { .. })));
    assert!(matches!(refused(tls()).await, Some(ServeError::Unguarded { .. })));
    plane.credentials.create_token(&"acme".parse().unwrap(), Role::Admin, "", None).await.unwrap();
    assert!(matches!(refused(plain()).await, Some(ServeError::PlainText { .. })));
    assert!(refused(tls()).await.is_none());
}

/// Certificates of one authority, and one of another.
struct Certificates {
    authority: String,
    server: (String, String),
    client: (String, String),
    stranger: (String, String),
}

fn certificates() -> Certificates {
    let authority = |name: &str| {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        (pem, rcgen::Issuer::new(params, key))
    };
    let issue = |issuer: &rcgen::Issuer<'_, rcgen::KeyPair>| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, issuer).unwrap().pem(), key.serialize_pem())
    };
    let (pem, ours) = authority("ours");
    let (_, others) = authority("others");
    Certificates { authority: pem, server: issue(&ours), client: issue(&ours), stranger: issue(&others) }
}

impl Certificates {
    fn server(&self) -> Tls {
        let authority = Some(self.authority.as_bytes());
        Tls::from_pem(self.server.0.as_bytes(), self.server.1.as_bytes(), authority).unwrap()
    }

    async fn connect(
        &self,
        address: SocketAddr,
        identity: Option<&(String, String)>,
        protocol: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

/// Hands tonic a connection that is there already.
struct There(Option<TlsStream<TcpStream>>);

impl tonic::codegen::Service<Uri> for There {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let stream = self.0.take().ok_or_else(|| std::io::ErrorKind::NotConnected.into());
        Box::pin(std::future::ready(stream.map(TokioIo::new)))
    }
}

#[tokio::test]
async fn a_certificate_is_a_credential_where_its_fingerprint_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let made = certificates();
    let mut setup = Setup::default();
    setup.serve.tls = Some(made.server());
    let host = Host::with(dir.path(), setup).await;
    let credentials = &host.plane.credentials;
    let der = CertificateDer::from_pem_slice(made.client.0.as_bytes()).unwrap();
    let hex = flowctl_types::Digest::of(&der).to_hex().to_uppercase();
    let colons: Vec<_> = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
    let tenant = "acme".parse().unwrap();
    let id = credentials.allow_certificate(&tenant, Role::Viewer, &colons.join(":"), "", None).await.unwrap();

    let metrics = async |identity: Option<&(String, String)>| {
        let stream = made.connect(host.address, identity, "http/1.1").await.unwrap();
        http(stream, "/metrics", "").await.0
    };
    assert_eq!(metrics(Some(&made.client)).await, 200);
    assert_eq!(metrics(None).await, 401);
    // one that nobody here signed ends the handshake, at the latest when something is read
    if let Ok(mut stream) = made.connect(host.address, Some(&made.stranger), "http/1.1").await {
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"");
    }

    let stream = made.connect(host.address, Some(&made.client), "h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let endpoint = tonic::transport::Endpoint::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(There(Some(stream))).await.unwrap();
    let told = HostServiceClient::new(channel.clone()).get_host(GetHostRequest {}).await.unwrap().into_inner();
    assert_eq!((told.tenant.as_str(), told.role.as_str()), ("acme", "viewer"));

    credentials.create_token(&tenant, Role::Viewer, "", None).await.unwrap();
    credentials.revoke(&id).await.unwrap();
    let refused = HostServiceClient::new(channel).get_host(GetHostRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    host.end().await;
}
