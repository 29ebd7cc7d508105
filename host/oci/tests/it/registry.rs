//! A registry in this process: the distribution specification in small, and faults in turn.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flowctl_oci::{Artifact, Client, ClientOptions, Patience, RegistryRef};
use flowctl_test_support::http_server::{HttpServer, Reply, Request};
use flowctl_types::Digest;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// What it holds, and how it behaves.
#[derive(Default)]
pub(crate) struct State {
    pub blobs: BTreeMap<String, Bytes>,
    pub manifests: BTreeMap<String, Bytes>,
    /// Answers in place of those that are due, for paths that contain the text.
    pub faults: VecDeque<(&'static str, Reply)>,
    /// What `Authorization` must be, and what is answered where it is not.
    pub guard: Option<(String, String)>,
    /// What the token endpoint answers to which `Authorization`.
    pub token: Option<(String, String)>,
    pub has_ranges: bool,
}

/// A registry on a port of its own.
pub(crate) struct Registry {
    pub server: HttpServer,
    pub state: Arc<Mutex<State>>,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State { has_ranges: true, ..State::default() }));
        let shared = Arc::clone(&state);
        let server = HttpServer::start(move |request| shared.lock().unwrap().answer(request)).await;
        Self { server, state }
    }

    /// One that shows a certificate for `127.0.0.1`, and the authority's own as PEM.
    pub(crate) async fn start_secure() -> (Self, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        let authority = params.self_signed(&key).unwrap();
        let server_key = KeyPair::generate().unwrap();
        let params_of_server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params_of_server.signed_by(&server_key, &Issuer::new(params, key)).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(server_key.serialize_der().into()));
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let state = Arc::new(Mutex::new(State { has_ranges: true, ..State::default() }));
        let shared = Arc::clone(&state);
        let handle = move |request: &Request| shared.lock().unwrap().answer(request);
        let server = HttpServer::start_behind(move |stream| acceptor.accept(stream), handle).await;
        (Self { server, state }, authority.pem())
    }

    pub(crate) fn reference(&self, rest: &str) -> RegistryRef {
        format!("{}/{rest}", self.server.address()).parse().unwrap()
    }

    pub(crate) fn hold(&self, artifact: &Artifact, tag: &str) {
        let mut state = self.state.lock().unwrap();
        for bytes in [artifact.config(), artifact.component()] {
            state.blobs.insert(Digest::of(bytes).to_string(), bytes.clone());
        }
        for version in [tag.to_owned(), artifact.digest().to_string()] {
            state.manifests.insert(version, artifact.manifest().clone());
        }
    }

    pub(crate) fn fault(&self, path: &'static str, reply: Reply) {
        self.state.lock().unwrap().faults.push_back((path, reply));
    }

    /// What was asked so far, without the probe: method and path.
    pub(crate) fn asked(&self) -> Vec<String> {
        let requests = self.server.requests();
        let asked = requests.iter().map(|request| format!("{} {}", request.method, request.path));
        asked.filter(|asked| asked != "GET /v2/").collect()
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> Reply {
        let answer = |status: u16, headers: &[(&'static str, String)], body: &[u8]| Reply::Answer {
            status,
            headers: headers.to_vec(),
            body: body.to_vec(),
        };
        if request.path == "/v2/" {
            return Reply::new(200, "{}");
        }
        if let Some(at) = self.faults.iter().position(|(path, _)| request.path.contains(path)) {
            return self.faults.remove(at).unwrap().1;
        }
        let shown = request.header("authorization").unwrap_or_default().to_owned();
        if request.path.starts_with("/token") {
            return match &self.token {
                Some((wanted, token))
                    if *wanted == shown || request.body.windows(wanted.len()).any(|part| part == wanted.as_bytes()) =>
                {
                    Reply::new(200, format!(r#"{{"token":"{token}","expires_in":300}}"#))
                }
                _ => Reply::new(401, r#"{"details":"wrong password"}"#),
            };
        }
        if let Some((wanted, challenge)) = &self.guard
            && *wanted != shown
        {
            return answer(
                401,
                &[("WWW-Authenticate", challenge.clone())],
                br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
            );
        }
        let path = request.path.strip_prefix("/v2/acme/plugin/").unwrap_or_default();
        let missing = || Reply::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#);
        match (request.method.as_str(), path.split_once('/')) {
            ("GET" | "HEAD", Some(("manifests", version))) => match self.manifests.get(version) {
                Some(bytes) => {
                    let digest = [("Docker-Content-Digest", Digest::of(bytes).to_string())];
                    answer(200, &digest, if request.method == "HEAD" { b"" } else { bytes })
                }
                None => missing(),
            },
            ("HEAD", Some(("blobs", digest))) if self.blobs.contains_key(digest) => Reply::new(200, ""),
            ("GET", Some(("blobs", digest))) => match self.blobs.get(digest) {
                Some(bytes) => {
                    let begin = request
                        .header("range")
                        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
                    match begin.filter(|begin| self.has_ranges && *begin < bytes.len()) {
                        Some(begin) => {
                            let range = format!("bytes {begin}-{}/{}", bytes.len() - 1, bytes.len());
                            answer(206, &[("Content-Range", range)], &bytes[begin..])
                        }
                        None => answer(200, &[], bytes),
                    }
                }
                None => missing(),
            },
            ("POST", Some(("blobs", "uploads/"))) => {
                answer(202, &[("Location", "/v2/acme/plugin/uploads/1?state=x".to_owned())], b"")
            }
            ("PUT", Some(("uploads", rest))) => {
                let digest = Digest::of(&request.body).to_string();
                if !rest.replace("%3A", ":").ends_with(&digest) {
                    return Reply::new(400, r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
                }
                self.blobs.insert(digest, request.body.clone().into());
                Reply::new(201, "")
            }
            ("PUT", Some(("manifests", version))) => {
                let bytes = Bytes::from(request.body.clone());
                self.manifests.insert(Digest::of(&bytes).to_string(), bytes.clone());
                self.manifests.insert(version.to_owned(), bytes);
                Reply::new(201, "")
            }
            ("GET", Some(("tags", "list?n=1000"))) => answer(
                200,
                &[("Link", r#"</v2/acme/plugin/tags/list?n=1000&last=b>; rel="next""#.to_owned())],
                br#"{"name":"x","tags":["a","b"]}"#,
            ),
            ("GET", Some(("tags", _))) => Reply::new(200, r#"{"name":"x","tags":["c"]}"#),
            _ => missing(),
        }
    }
}

/// A client that does not wait long.
pub(crate) fn client() -> Client {
    client_with(ClientOptions::default())
}

pub(crate) fn client_with(options: ClientOptions) -> Client {
    let wait = Duration::from_millis(1);
    let patience = Patience { attempts: 4, first_wait: wait, longest_wait: Duration::from_secs(2) };
    Client::new(ClientOptions { patience, ..options })
}
