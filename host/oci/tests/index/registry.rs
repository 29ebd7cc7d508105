//! A registry in this process that holds manifests and blobs of any repository, and lets a
//! test write between two requests of the client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flowctl_oci::index::PluginIndex;
use flowctl_oci::{Client, ClientOptions, Descriptor, Patience, RegistryRef};
use flowctl_test_support::http_server::{HttpServer, Reply, Request};
use flowctl_types::Digest;
use serde_json::json;

/// Looks at every request before it is answered, and may change what the registry holds.
pub(crate) type Meddler = Box<dyn FnMut(&Request, &mut Held) + Send>;

/// Repository and tag or digest, with the bytes.
pub(crate) type Held = BTreeMap<(String, String), Vec<u8>>;

#[derive(Default)]
struct State {
    held: Held,
    meddler: Option<Meddler>,
}

/// A registry on a port of its own.
pub(crate) struct Registry {
    pub(crate) server: HttpServer,
    state: Arc<Mutex<State>>,
}

impl Registry {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let server = HttpServer::start(move |request| {
            let State { held, meddler } = &mut *shared.lock().unwrap();
            if let Some(meddler) = meddler {
                meddler(request, held);
            }
            answer(request, held)
        })
        .await;
        Self { server, state }
    }

    pub(crate) fn reference(&self, rest: &str) -> RegistryRef {
        format!("{}/{rest}", self.server.address()).parse().unwrap()
    }

    pub(crate) fn meddle(&self, meddler: impl FnMut(&Request, &mut Held) + Send + 'static) {
        self.state.lock().unwrap().meddler = Some(Box::new(meddler));
    }

    /// Holds the manifest of a plugin with these annotations. Its blobs nobody asks for.
    pub(crate) fn hold_plugin(&self, reference: &RegistryRef, notes: &BTreeMap<String, String>) -> Digest {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": Descriptor::of("application/vnd.wasm.config.v0+json", b"{}"),
            "layers": [Descriptor::of("application/wasm", reference.to_string().as_bytes())],
            "annotations": notes,
        });
        self.hold(reference, manifest.to_string().as_bytes())
    }

    pub(crate) fn hold(&self, reference: &RegistryRef, manifest: &[u8]) -> Digest {
        let held = &mut self.state.lock().unwrap().held;
        put(held, reference.repository(), &reference.version(), manifest)
    }
}

/// Puts a manifest, as a registry does.
pub(crate) fn put(held: &mut Held, repository: &str, version: &str, manifest: &[u8]) -> Digest {
    let digest = Digest::of(manifest);
    for version in [version, &digest.to_string()] {
        held.insert((repository.to_owned(), version.to_owned()), manifest.to_vec());
    }
    digest
}

/// Puts an index, as another writer does.
pub(crate) fn put_index(held: &mut Held, repository: &str, tag: &str, index: &PluginIndex) {
    let layer = index.to_bytes().unwrap();
    let kind = "application/vnd.flowctl.index.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": kind,
        "config": Descriptor::of("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [Descriptor::of(kind, &layer)],
    });
    held.insert((repository.to_owned(), Digest::of(&layer).to_string()), layer);
    put(held, repository, tag, manifest.to_string().as_bytes());
}

fn answer(request: &Request, held: &mut Held) -> Reply {
    let reply = |status, headers, body: &[u8]| Reply::Answer { status, headers, body: body.to_vec() };
    let path = request.path.strip_prefix("/v2/").unwrap_or_default();
    if path.is_empty() {
        return Reply::new(200, "{}");
    }
    if let Some((repository, _)) = path.split_once("/blobs/uploads/") {
        if request.method == "POST" {
            let place = format!("/v2/{repository}/blobs/uploads/1");
            return reply(202, vec![("Location", place)], b"");
        }
        held.insert((repository.to_owned(), Digest::of(&request.body).to_string()), request.body.clone());
        return Reply::new(201, "");
    }
    let split = path.split_once("/manifests/").or_else(|| path.split_once("/blobs/"));
    let Some((repository, version)) = split else { return Reply::new(404, "") };
    if request.method == "PUT" {
        put(held, repository, version, &request.body);
        return Reply::new(201, "");
    }
    match held.get(&(repository.to_owned(), version.to_owned())) {
        Some(bytes) => {
            let digest = vec![("Docker-Content-Digest", Digest::of(bytes).to_string())];
            reply(200, digest, if request.method == "HEAD" { b"" } else { bytes })
        }
        None => Reply::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
    }
}

/// A client that does not wait long.
pub(crate) fn client() -> Client {
    let wait = Duration::from_millis(1);
    let patience = Patience { attempts: 2, first_wait: wait, longest_wait: wait };
    Client::new(ClientOptions { patience, ..ClientOptions::default() })
}
