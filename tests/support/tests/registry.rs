//! The throw-away registry, its tokens, and the clients that others wrote.
#![allow(clippy::unwrap_used)]

use flowctl_test_support::registry::{
    Access, Artifact, CONFIG_MEDIA_TYPE, IDENTITY_TOKEN, PASSWORD, Registry, TokenServer, Transport, USERNAME, digest,
};

/// The component that is none the less one: it has nothing in it.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

#[tokio::test]
async fn what_is_pushed_is_served_and_logged_over_every_transport_and_to_every_login() {
    let tokens = TokenServer::start().await;
    for transport in [Transport::Plain, Transport::Tls] {
        for access in [Access::Anyone, Access::Password, Access::Tokens(&tokens)] {
            let registry = Registry::start_with(transport, access);
            let artifact = Artifact::of(COMPONENT);
            assert_eq!(registry.requests(), []);
            let pushed = registry.push("acme/empty", "1.0.0", &artifact);
            assert_eq!(registry.manifest("acme/empty", "1.0.0"), Some(artifact.manifest()));
            assert_eq!(registry.manifest("acme/empty", &pushed), Some(artifact.manifest()));
            assert_eq!(registry.blob("acme/empty", &digest(COMPONENT)).as_deref(), Some(COMPONENT));
            assert_eq!(registry.tags("acme/empty"), ["1.0.0"]);
            assert_eq!(registry.manifest("acme/empty", "2.0.0"), None);
            assert_eq!(registry.tags("acme/none"), [""; 0]);
            let requests = registry.requests();
            let found = requests.iter().find(|logged| logged.path == "/v2/acme/empty/manifests/1.0.0");
            assert_eq!(found.map(|logged| (&*logged.method, logged.status)), Some(("PUT", 201)), "{requests:?}");
            assert!(requests.iter().all(|logged| !logged.path.contains("marker")), "{requests:?}");
            registry.delete_manifest("acme/empty", &pushed);
            assert_eq!(registry.manifest("acme/empty", "1.0.0"), None);
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let registry = Registry::start_with(Transport::Plain, Access::Password);
    for (password, status) in [(PASSWORD, 200), ("wrong", 401), ("", 401)] {
        let asked = http().get(format!("{}/v2/", registry.url())).basic_auth(USERNAME, Some(password));
        assert_eq!(asked.send().await.unwrap().status(), status, "{password}");
    }
}

#[tokio::test]
async fn a_token_is_had_by_password_by_identity_and_by_nobody_and_allows_what_each_may() {
    let tokens = TokenServer::start().await;
    let registry = Registry::start_with(Transport::Plain, Access::Tokens(&tokens));
    registry.push("acme/empty", "1", &Artifact::of(COMPONENT));
    registry.push("public/empty", "1", &Artifact::of(COMPONENT));

    let refused = http().get(format!("{}/v2/acme/empty/tags/list", registry.url())).send().await.unwrap();
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
    assert_eq!(refused.status(), 401);
    assert!(challenge.starts_with(&format!("Bearer realm=\"{}\"", tokens.realm())), "{challenge}");
    assert!(challenge.contains("scope=\"repository:acme/empty:pull\""), "{challenge}");

    let query = |name: &str| format!("service=flowctl-test-registry&scope=repository:{name}:pull");
    let ask = |name: &str| http().get(format!("{}?{}", tokens.realm(), query(name)));
    let trade = |name: &str, identity: &str| {
        let body = format!("grant_type=refresh_token&refresh_token={identity}&client_id=test&{}", query(name));
        http().post(tokens.realm()).header("Content-Type", "application/x-www-form-urlencoded").body(body)
    };
    let cases = [
        ("password", "acme/empty", ask("acme/empty").basic_auth(USERNAME, Some(PASSWORD)), Some(200)),
        ("wrong password", "acme/empty", ask("acme/empty").basic_auth(USERNAME, Some("wrong")), None),
        ("identity", "acme/empty", trade("acme/empty", IDENTITY_TOKEN), Some(200)),
        ("wrong identity", "acme/empty", trade("acme/empty", "wrong"), None),
        ("nobody", "acme/empty", ask("acme/empty"), Some(401)),
        ("nobody, public", "public/empty", ask("public/empty"), Some(200)),
    ];
    for (who, name, asked, wanted) in cases {
        let answer = asked.send().await.unwrap();
        let Some(wanted) = wanted else {
            assert_eq!(answer.status(), 401, "{who}");
            continue;
        };
        let token = token_of(&answer.bytes().await.unwrap());
        assert_eq!(tags(&registry, name, &token).await, wanted, "{who}");
    }

    tokens.issue_stale(1);
    for wanted in [401, 200] {
        let answer = trade("acme/empty", IDENTITY_TOKEN).send().await.unwrap();
        let token = token_of(&answer.bytes().await.unwrap());
        assert_eq!(tags(&registry, "acme/empty", &token).await, wanted);
    }
}

#[test]
fn other_bytes_under_a_digest_are_served_and_lost_ones_are_not() {
    let registry = Registry::start();
    let manifest = registry.push("acme/empty", "1", &Artifact::of(COMPONENT));
    let blob = digest(COMPONENT);
    registry.replace_blob(&blob, b"something else");
    assert_eq!(registry.blob("acme/empty", &blob).as_deref(), Some(&b"something else"[..]));
    registry.replace_blob(&manifest, b"{}");
    assert_eq!(std::fs::read(registry.blob_file(&manifest)).unwrap(), b"{}");
    registry.lose_blob(&blob);
    assert_eq!(registry.blob("acme/empty", &blob), None);
}

#[test]
fn a_registry_is_started_again_where_it_was_with_what_it_had() {
    for transport in [Transport::Plain, Transport::Tls] {
        let mut registry = Registry::start_with(transport, Access::Password);
        registry.push("acme/empty", "1", &Artifact::of(COMPONENT));
        let address = registry.address();
        registry.kill();
        assert!(std::net::TcpStream::connect(address).is_err());
        registry.restart();
        assert_eq!(registry.address(), address);
        assert_eq!(registry.blob("acme/empty", &digest(COMPONENT)).as_deref(), Some(COMPONENT));
    }
}

#[tokio::test]
async fn skopeo_copies_an_artifact_to_a_layout_and_back() {
    let tokens = TokenServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    for (n, transport) in [Transport::Plain, Transport::Tls].into_iter().enumerate() {
        for (m, access) in [Access::Anyone, Access::Password, Access::Tokens(&tokens)].into_iter().enumerate() {
            let registry = Registry::start_with(transport, access);
            let artifact = Artifact::of(COMPONENT);
            let pushed = registry.push("acme/empty", "1", &artifact);
            let layout = folder.path().join(format!("layout-{n}-{m}"));
            let (image, copied) =
                (format!("docker://{}/acme/empty:1", registry.address()), format!("oci:{}:1", layout.display()));
            // it waits for the server of tokens, which runs on this thread
            let skopeo = registry.skopeo();
            let raw = tokio::task::spawn_blocking({
                let (image, copied, back) = (image.clone(), copied.clone(), image.replace("empty:1", "copy:2"));
                move || {
                    skopeo.copy(&image, &copied);
                    skopeo.copy(&copied, &back);
                    skopeo.manifest(&back)
                }
            });
            assert_eq!(raw.await.unwrap(), artifact.manifest());
            assert_eq!(registry.manifest("acme/copy", &pushed), Some(artifact.manifest()));
            let blob = layout.join("blobs").join(digest(COMPONENT).replace(':', "/"));
            assert_eq!(std::fs::read(blob).unwrap(), COMPONENT);
        }
    }
}

#[test]
fn wkg_pulls_what_it_pushed_as_one_layer_of_wasm() {
    for access in [Access::Anyone, Access::Password] {
        let registry = Registry::start_with(Transport::Plain, access);
        let folder = tempfile::tempdir().unwrap();
        let (file, copy) = (folder.path().join("empty.wasm"), folder.path().join("copy.wasm"));
        std::fs::write(&file, COMPONENT).unwrap();
        let reference = format!("{}/acme/empty:1.0.0", registry.address());
        let wkg = registry.wkg();
        let pushed = wkg.push(&reference, &file);
        wkg.pull(&reference, &copy);
        assert_eq!(std::fs::read(copy).unwrap(), COMPONENT);
        let manifest = registry.manifest("acme/empty", &pushed).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(manifest["config"]["mediaType"], CONFIG_MEDIA_TYPE);
        assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
        assert_eq!(manifest["layers"][0]["digest"], digest(COMPONENT));
        assert_eq!(manifest["layers"][0]["annotations"]["org.opencontainers.image.title"], "empty.wasm");
    }
}

async fn tags(registry: &Registry, name: &str, token: &str) -> u16 {
    let asked = http().get(format!("{}/v2/{name}/tags/list", registry.url())).bearer_auth(token);
    asked.send().await.unwrap().status().as_u16()
}

fn token_of(body: &[u8]) -> String {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

fn http() -> reqwest::Client {
    // installed already is just as well
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
