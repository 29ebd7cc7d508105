//! What the client does with good registries and with bad ones.

use std::sync::Arc;

use bytes::Bytes;
use expect_test::{Expect, expect};
use flowctl_oci::auth::{Login, Secret};
use flowctl_oci::{ClientOptions, Logins, OciError, Silent, push};
use flowctl_test_support::http_server::Reply;

use crate::plugin;
use crate::registry::{Registry, client, client_with};

struct Fixed(Login);

#[async_trait::async_trait]
impl Logins for Fixed {
    async fn login(&self, _: &str) -> Result<Login, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.clone())
    }
}

fn basic() -> Login {
    Login::Basic { username: "ada".into(), password: Secret::new("hunter2".into()) }
}

#[tokio::test]
async fn what_was_pushed_is_there_and_pushed_once() {
    let registry = Registry::start().await;
    let (artifact, client) = (plugin::artifact("1.2.0"), client());
    let reference = registry.reference("acme/plugin:1.2.0");
    assert_eq!(client.has_manifest(&reference).await.unwrap(), None);
    for _ in 0..2 {
        assert_eq!(push(&client, &artifact, &reference, &Silent).await.unwrap(), artifact.digest());
    }
    assert_eq!(client.has_manifest(&reference).await.unwrap(), Some(artifact.digest()));
    assert_eq!(client.manifest(&reference).await.unwrap(), (artifact.manifest().clone(), artifact.digest()));
    let n_uploads = registry.asked().iter().filter(|asked| asked.starts_with("POST")).count();
    assert_eq!(n_uploads, 2, "{:?}", registry.asked());
    assert_eq!(client.tags(&reference).await.unwrap(), ["a", "b", "c"]);
}

/// How fetching a manifest ends after these answers.
async fn check(faults: Vec<Reply>, n_asked: usize, expect: &Expect) {
    let registry = Registry::start().await;
    registry.hold(&plugin::artifact("1.2.0"), "1");
    for fault in faults {
        registry.fault("/manifests/", fault);
    }
    let found = client().manifest(&registry.reference("acme/plugin:1")).await;
    let port = registry.server.address().port().to_string();
    let found = found.map_or_else(|error| error.to_string(), |_| "it is there".to_owned());
    expect.assert_eq(&found.replace(&port, "PORT"));
    assert_eq!(registry.asked().len(), n_asked, "{:?}", registry.asked());
}

#[tokio::test]
async fn what_may_pass_is_asked_for_again() {
    let busy =
        |seconds: &str| Reply::Answer { status: 429, headers: vec![("Retry-After", seconds.to_owned())], body: vec![] };
    check(vec![Reply::new(500, ""), Reply::Close, busy("0")], 4, &expect!["it is there"]).await;
    check(vec![Reply::Half(b"{}{}".to_vec())], 2, &expect!["it is there"]).await;
    check(
        vec![Reply::new(503, ""); 4],
        4,
        &expect!["registry `127.0.0.1:PORT` is not able to answer (HTTP 503): service unavailable"],
    )
    .await;
    // longer than one is willing to wait
    check(
        vec![busy("60")],
        1,
        &expect!["registry `127.0.0.1:PORT` is not able to answer (HTTP 429): too many requests"],
    )
    .await;
}

#[tokio::test]
async fn what_will_not_pass_is_not() {
    let refusal = r#"{"errors":[{"code":"DENIED","message":"not\u0007 for\nyou"}]}"#;
    check(
        vec![Reply::new(403, refusal)],
        1,
        &expect!["registry `127.0.0.1:PORT` denies access to `acme/plugin`: not for you"],
    )
    .await;
    check(vec![Reply::new(404, "")], 1, &expect!["registry `127.0.0.1:PORT` has no manifest `1` in `acme/plugin`"])
        .await;
    check(vec![Reply::new(405, "")], 1, &expect!["registry `127.0.0.1:PORT` refuses (HTTP 405): method not allowed"])
        .await;
    check(vec![Reply::new(200, vec![b' '; (4 << 20) + 1])], 1, &expect!["manifest `1` has more than 4194304 bytes"])
        .await;
}

#[tokio::test]
async fn a_tampered_manifest_is_found_out() {
    let registry = Registry::start().await;
    let (one, two) = (plugin::artifact("1.0.0"), plugin::artifact("2.0.0"));
    registry.state.lock().unwrap().manifests.insert(one.digest().to_string(), two.manifest().clone());
    let reference = registry.reference("acme/plugin").pinned(one.digest());
    let error = client().manifest(&reference).await.unwrap_err();
    assert!(matches!(error, OciError::Digest { found, .. } if found == two.digest()), "{error}");
}

/// Who gets in past which guard.
async fn enters(login: Option<Login>, guard: (&str, &str), token: Option<(&str, &str)>) -> Result<(), String> {
    let registry = Registry::start().await;
    let artifact = plugin::artifact("1.2.0");
    let address = registry.server.address();
    {
        let mut state = registry.state.lock().unwrap();
        state.guard = Some((guard.0.to_owned(), guard.1.replace("HOST", &address.to_string())));
        state.token = token.map(|(wanted, token)| (wanted.to_owned(), token.to_owned()));
    }
    let logins = login.map(|login| Arc::new(Fixed(login)) as Arc<dyn Logins>);
    let client = client_with(ClientOptions { logins, ..ClientOptions::default() });
    let reference = registry.reference("acme/plugin:1");
    let pushed = push(&client, &artifact, &reference, &Silent).await;
    let shown = format!("{client:?} {pushed:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("refresh-1"), "{shown}");
    pushed.map(|_| ()).map_err(|error| error.source.to_string())
}

#[tokio::test]
async fn credentials_open_what_they_fit() {
    let (basic_guard, basic_value) = (r#"Basic realm="x""#, "Basic YWRhOmh1bnRlcjI=");
    let bearer_guard = r#"Bearer realm="http://HOST/token",service="s",scope="repository:acme/plugin:pull,push""#;
    assert_eq!(enters(Some(basic()), (basic_value, basic_guard), None).await, Ok(()));
    let bearer = Login::Bearer(Secret::new("t-1".into()));
    assert_eq!(enters(Some(bearer), ("Bearer t-1", bearer_guard), None).await, Ok(()));
    let by_password = Some((basic_value, "t-2"));
    assert_eq!(enters(Some(basic()), ("Bearer t-2", bearer_guard), by_password).await, Ok(()));
    assert_eq!(enters(None, ("Bearer t-3", bearer_guard), Some(("", "t-3"))).await, Ok(()));
    let identity = Login::Identity(Secret::new("refresh-1".into()));
    let by_refresh = Some((
        "grant_type=refresh_token&service=s&scope=repository%3Aacme%2Fplugin%3Apull%2Cpush&client_id=flowctl&refresh_token=refresh-1",
        "t-4",
    ));
    assert_eq!(enters(Some(identity), ("Bearer t-4", bearer_guard), by_refresh).await, Ok(()));
    for (login, guard) in [(None, basic_guard), (Some(basic()), basic_guard), (Some(basic()), bearer_guard)] {
        let error = enters(login, ("nobody", guard), Some(("nobody", ""))).await.unwrap_err();
        assert!(error.contains("denies access"), "{error}");
    }
}

#[tokio::test]
async fn secrets_go_to_no_place_without_tls() {
    let guard = r#"Bearer realm="http://tokens.invalid/token""#;
    let error = enters(Some(basic()), ("nobody", guard), None).await.unwrap_err();
    assert!(error.contains("it gives tokens at `tokens.invalid` without TLS"), "{error}");
}

#[tokio::test]
async fn an_upload_elsewhere_gets_no_credentials() {
    let (registry, other) = (Registry::start().await, Registry::start().await);
    registry.state.lock().unwrap().guard = Some(("Basic YWRhOmh1bnRlcjI=".to_owned(), "Basic".to_owned()));
    let location = format!("http://{}/v2/acme/plugin/uploads/7", other.server.address());
    let client = client_with(ClientOptions { logins: Some(Arc::new(Fixed(basic()))), ..ClientOptions::default() });
    let reference = registry.reference("acme/plugin:1");
    client.has_blob(&reference, &flowctl_types::Digest::of(b"x")).await.unwrap();
    registry
        .fault("/blobs/uploads/", Reply::Answer { status: 202, headers: vec![("Location", location)], body: vec![] });
    client.push_blob(&reference, Bytes::from_static(b"bytes"), &Silent).await.unwrap();
    let requests = other.server.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("authorization"), None);
}

/// A redirect to another server.
fn to(other: &Registry, path: &str) -> Reply {
    let location = format!("http://{}{path}", other.server.address());
    Reply::Answer { status: 307, headers: vec![("Location", location)], body: vec![] }
}

#[tokio::test]
async fn who_a_redirect_leads_to_does_not_say_where_the_password_goes() {
    let (registry, other) = (Registry::start().await, Registry::start().await);
    let realm = format!(r#"Bearer realm="http://{}/token""#, other.server.address());
    other.state.lock().unwrap().guard = Some(("nobody".to_owned(), realm));
    let logins = [basic(), Login::Identity(Secret::new("refresh-1".into()))];
    for login in logins {
        registry.fault("/manifests/", to(&other, "/v2/acme/plugin/manifests/1"));
        let client = client_with(ClientOptions { logins: Some(Arc::new(Fixed(login))), ..ClientOptions::default() });
        let error = client.manifest(&registry.reference("acme/plugin:1")).await.unwrap_err();
        assert!(matches!(error, OciError::Unauthorized { .. }), "{error}");
    }
    let asked = other.asked();
    assert_eq!(asked, ["GET /v2/acme/plugin/manifests/1"; 2]);
    assert!(other.server.requests().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn an_identity_token_follows_no_redirect() {
    let (registry, other) = (Registry::start().await, Registry::start().await);
    let realm = format!(r#"Bearer realm="http://{}/token""#, registry.server.address());
    registry.state.lock().unwrap().guard = Some(("Bearer t-1".to_owned(), realm));
    registry.fault("/token", to(&other, "/token"));
    let identity = Login::Identity(Secret::new("refresh-1".into()));
    let client = client_with(ClientOptions { logins: Some(Arc::new(Fixed(identity))), ..ClientOptions::default() });
    client.manifest(&registry.reference("acme/plugin:1")).await.unwrap_err();
    assert_eq!(other.asked(), [""; 0]);
}

/// Knows a login, and counts how often it was asked.
struct Counting(std::sync::atomic::AtomicUsize);

#[async_trait::async_trait]
impl Logins for Counting {
    async fn login(&self, _: &str) -> Result<Login, Box<dyn std::error::Error + Send + Sync>> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(basic())
    }
}

#[tokio::test]
async fn a_login_is_looked_up_once() {
    let registry = Registry::start().await;
    registry.state.lock().unwrap().guard = Some(("Basic YWRhOmh1bnRlcjI=".to_owned(), "Basic".to_owned()));
    let counting = Arc::new(Counting(Default::default()));
    let logins = Some(Arc::clone(&counting) as Arc<dyn Logins>);
    let client = client_with(ClientOptions { logins, ..ClientOptions::default() });
    for name in ["acme/plugin:1", "acme/other:1"] {
        let _ = client.has_manifest(&registry.reference(name)).await;
    }
    push(&client, &plugin::artifact("1.0.0"), &registry.reference("acme/plugin:1"), &Silent).await.unwrap();
    assert_eq!(counting.0.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let registry = Registry::start().await;
    let reference = registry.reference("acme/plugin:1");
    drop(registry);
    tokio::task::yield_now().await;
    let error = client().manifest(&reference).await.unwrap_err();
    assert!(matches!(error, OciError::Unreachable { .. }), "{error}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_registry_without_tls_is_told_at_once_from_one_that_is_away() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    // leads here, and is no name of this machine
    let reference = format!("127.1:{}/acme/plugin:1", listener.local_addr().unwrap().port()).parse().unwrap();
    let server = tokio::spawn(async move {
        // one connection, and no other
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        stream
    });
    let error = client().manifest(&reference).await.unwrap_err();
    assert!(error.to_string().ends_with("cannot be reached: it does not speak TLS"), "{error}");
    assert!(error.hint().unwrap().contains("--insecure"));
    server.await.unwrap();
}

#[tokio::test]
async fn a_registry_with_tls_is_spoken_to_with_tls_and_trusted_by_its_authority() {
    let (registry, authority) = Registry::start_secure().await;
    let reference = registry.reference("acme/plugin:1");
    let error = client().manifest(&reference).await.unwrap_err();
    assert!(matches!(error, OciError::Untrusted { .. }), "{error}");
    let file = tempfile::NamedTempFile::new().unwrap();
    let trusting = || client_with(ClientOptions { ca_files: vec![file.path().to_owned()], ..ClientOptions::default() });
    let error = trusting().manifest(&reference).await.unwrap_err();
    assert!(matches!(error, OciError::Certificates { .. }), "{error}");
    std::fs::write(file.path(), authority).unwrap();
    let artifact = plugin::artifact("1.2.0");
    assert_eq!(push(&trusting(), &artifact, &reference, &Silent).await.unwrap(), artifact.digest());
}
