//! From a registry or a layout into the store, whatever happens on the way.

use std::sync::Arc;

use bytes::Bytes;
use flowctl_oci::{
    Admission, ArtifactManifest, Client, Layout, Marks, PullError, PullOptions, Refusal, RegistryRef, Silent, Store,
    TagLookup, Untagged, pull, pull_from_layout, push_to_layout,
};
use flowctl_test_support::http_server::Reply;
use flowctl_types::Digest;

use crate::plugin;
use crate::registry::{Registry, client};

struct Place {
    _folder: tempfile::TempDir,
    store: Store,
    registry: Registry,
}

async fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("plugins")).unwrap();
    Place { store, registry: Registry::start().await, _folder: folder }
}

fn assert_empty(store: &Store) {
    assert_eq!(store.list().unwrap(), []);
    store.collect(Untagged::Keep).unwrap();
    for folder in ["blobs/sha256", "ingest"] {
        assert_eq!(std::fs::read_dir(store.root().join(folder)).unwrap().count(), 0, "{folder}");
    }
}

#[tokio::test]
async fn what_is_held_is_not_asked_for_again() {
    let Place { store, registry, .. } = &place().await;
    let artifact = plugin::artifact("1.2.0");
    registry.hold(&artifact, "1");
    let tagged = registry.reference("acme/plugin:1");
    let pulled = pull(&client(), store, &tagged, &PullOptions::default(), &Silent).await.unwrap();
    assert!(!pulled.was_cached);
    assert_eq!(Bytes::from(std::fs::read(&pulled.path).unwrap()), *artifact.component());
    let n_asked = registry.asked().len();
    for reference in [tagged.clone(), tagged.at_digest(pulled.digest), tagged.pinned(pulled.digest)] {
        let again = pull(&client(), store, &reference, &PullOptions::default(), &Silent).await.unwrap();
        assert!(again.was_cached && again.digest == pulled.digest);
    }
    assert_eq!(registry.asked().len(), n_asked);
    assert_eq!(store.artifact(&store.list().unwrap()[0]).unwrap().manifest(), artifact.manifest());
}

#[tokio::test]
async fn a_tag_that_moved_is_followed_when_asked_and_the_old_one_stays() {
    let Place { store, registry, .. } = &place().await;
    let (one, two) = (plugin::artifact("1.0.0"), plugin::artifact("2.0.0"));
    let reference = registry.reference("acme/plugin:latest");
    let options = PullOptions { tags: TagLookup::Registry, ..PullOptions::default() };
    for artifact in [&one, &two, &two] {
        registry.hold(artifact, "latest");
        let pulled = pull(&client(), store, &reference, &options, &Silent).await.unwrap();
        assert_eq!(pulled.digest, artifact.digest());
    }
    let listed: Vec<_> = store.list().unwrap().into_iter().map(|entry| entry.manifest.digest).collect();
    assert_eq!(listed, [one.digest(), two.digest()]);
    assert_eq!(store.collect(Untagged::Keep).unwrap().n_files, 0);
    let collected = store.collect(Untagged::Remove).unwrap();
    assert_eq!((collected.n_entries, collected.n_files), (1, 3));
    assert_eq!(store.list().unwrap().len(), 1);
}

#[tokio::test]
async fn a_download_that_breaks_off_is_gone_on_with() {
    let Place { store, registry, .. } = &place().await;
    let artifact = plugin::artifact("1.2.0");
    registry.hold(&artifact, "1");
    let layer = artifact.parsed().layer.digest;
    let path: &'static str = format!("/blobs/{layer}").leak();
    registry.fault(path, Reply::Half(artifact.component().to_vec()));
    let reference = registry.reference("acme/plugin:1");
    pull(&client(), store, &reference, &PullOptions::default(), &Silent).await.unwrap();
    let requests = registry.server.requests();
    let ranges: Vec<_> =
        requests.iter().filter(|request| request.path.contains(path)).map(|request| request.header("range")).collect();
    let half = format!("bytes={}-", artifact.component().len() / 2);
    assert_eq!(ranges, [None, Some(half.as_str())]);
}

#[tokio::test]
async fn what_a_killed_pull_left_is_gone_on_with_where_it_is_right() {
    let artifact = plugin::artifact("1.2.0");
    let component = artifact.component();
    let (good, third) = (&component[..], component.len() / 3);
    let mut longer = good.to_vec();
    longer.extend_from_slice(good);
    // what was left; whether the registry knows ranges; which request comes first
    for (left, has_ranges, first) in [
        (&good[..third], true, Some(format!("bytes={third}-"))),
        (&good[..third], false, Some(format!("bytes={third}-"))),
        (&vec![0; third][..], true, Some(format!("bytes={third}-"))),
        (&vec![0; good.len()][..], true, None),
        (&longer[..], true, None),
    ] {
        let Place { store, registry, .. } = &place().await;
        registry.hold(&artifact, "1");
        registry.state.lock().unwrap().has_ranges = has_ranges;
        let name = format!("ingest/{}.part", artifact.parsed().layer.digest.to_hex());
        std::fs::write(store.root().join(name), left).unwrap();
        std::fs::write(store.root().join(".new-1-1"), "half an index").unwrap();
        std::fs::write(store.root().join("blobs/sha256/.new-1-2"), "half a blob").unwrap();
        let reference = registry.reference("acme/plugin:1");
        let pulled = pull(&client(), store, &reference, &PullOptions::default(), &Silent).await.unwrap();
        assert_eq!(Bytes::from(std::fs::read(&pulled.path).unwrap()), *component);
        let requests = registry.server.requests();
        let layer = requests.iter().find(|request| request.path.contains(&pulled.manifest.layer.digest.to_string()));
        assert_eq!(layer.unwrap().header("range").map(str::to_owned), first);
        assert_eq!(store.collect(Untagged::Keep).unwrap().n_files, 2);
        assert_eq!(store.list().unwrap().len(), 1);
    }
}

/// Pulls what is wrong in one way, and finds nothing of it.
async fn check(change: impl FnOnce(&Registry), want: &str) {
    let Place { store, registry, .. } = &place().await;
    registry.hold(&plugin::artifact("1.2.0"), "1");
    change(registry);
    let reference = registry.reference("acme/plugin:1");
    let error = pull(&client(), store, &reference, &PullOptions::default(), &Silent).await.unwrap_err();
    let mut said = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        said += &format!(": {cause}");
        source = cause.source();
    }
    assert!(said.contains(want), "{said}");
    assert_empty(store);
}

/// Replaces text in the manifest behind the tag.
fn rewrite(registry: &Registry, from: &str, to: &str) {
    let mut state = registry.state.lock().unwrap();
    let manifest = String::from_utf8(state.manifests["1"].to_vec()).unwrap();
    assert!(manifest.contains(from), "{manifest}");
    state.manifests.insert("1".to_owned(), manifest.replace(from, to).into());
}

/// Puts other bytes where the component is.
fn tamper(registry: &Registry, change: impl FnOnce(&mut Vec<u8>)) {
    let layer = plugin::artifact("1.2.0").parsed().layer.digest.to_string();
    let mut state = registry.state.lock().unwrap();
    let mut bytes = state.blobs[&layer].to_vec();
    change(&mut bytes);
    state.blobs.insert(layer, bytes.into());
}

#[tokio::test]
async fn of_what_is_wrong_nothing_is_left() {
    check(|registry| tamper(registry, |bytes| bytes[100] ^= 1), "sent a tampered blob").await;
    check(|registry| tamper(registry, |bytes| bytes.push(0)), "it has 4817 bytes, its manifest says 4816").await;
    check(|registry| tamper(registry, |bytes| bytes.truncate(0)), "it has 0 bytes, its manifest says 4816").await;
    check(|registry| rewrite(registry, "stellar.ledger.v1", "stellar.ledger.v9"), "but the component says").await;
    let name = format!("\"io.flowctl.name\":\"{}\"", plugin::artifact("1.2.0").parsed().facts.clone().unwrap().name);
    check(|registry| rewrite(registry, &name, "\"io.flowctl.name\":\"trusted\""), "says `trusted`, but the component")
        .await;
    check(|registry| rewrite(registry, "io.flowctl.name", "io.flowctl.nome"), "`io.flowctl.name` is missing").await;
    check(|registry| rewrite(registry, "wasm.config", "oci.config"), "config is of type").await;
    check(|registry| rewrite(registry, "\"layers\":[", "\"layers\":[{\"mediaType\":\"a\",\"digest\":\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"size\":0},"), "2 layers").await;
    check(|registry| registry.state.lock().unwrap().manifests.clear(), "no manifest `1`").await;
    check(|registry| registry.state.lock().unwrap().blobs.clear(), "no blob").await;
    check(
        |registry| {
            let module = Bytes::from_static(b"\0asm\x01\0\0\0");
            let layer = plugin::artifact("1.2.0").parsed().layer.clone();
            let config = String::from_utf8(plugin::artifact("1.2.0").config().to_vec()).unwrap();
            let config = config.replace(&layer.digest.to_string(), &Digest::of(&module).to_string());
            let old_config = plugin::artifact("1.2.0").parsed().config.digest.to_string();
            rewrite(registry, &layer.digest.to_string(), &Digest::of(&module).to_string());
            rewrite(registry, &format!("\"size\":{}", layer.size), "\"size\":8");
            rewrite(registry, &old_config, &Digest::of(config.as_bytes()).to_string());
            let mut state = registry.state.lock().unwrap();
            state.blobs.insert(Digest::of(&module).to_string(), module);
            state.blobs.insert(Digest::of(config.as_bytes()).to_string(), config.into());
        },
        "layer is no plugin",
    )
    .await;
}

#[tokio::test]
async fn a_component_that_is_too_large_is_not_downloaded() {
    let Place { store, registry, .. } = &place().await;
    registry.hold(&plugin::artifact("1.2.0"), "1");
    let options = PullOptions { max_bytes: 100, ..PullOptions::default() };
    let error = pull(&client(), store, &registry.reference("acme/plugin:1"), &options, &Silent).await.unwrap_err();
    assert!(matches!(error, PullError::TooLarge { limit_bytes: 100, .. }), "{error}");
    assert_eq!(registry.asked(), ["GET /v2/acme/plugin/manifests/1"]);
    assert_empty(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_that_pull_the_same_one_downloads() {
    let Place { store, registry, .. } = &place().await;
    let artifact = plugin::artifact("1.2.0");
    registry.hold(&artifact, "1");
    let reference = registry.reference("acme/plugin:1");
    let pulls = (0..20).map(|_| {
        // as another process would have it
        let (store, reference) = (Store::open(store.root()).unwrap(), reference.clone());
        tokio::spawn(async move { pull(&client(), &store, &reference, &PullOptions::default(), &Silent).await })
    });
    for pull in pulls.collect::<Vec<_>>() {
        assert_eq!(pull.await.unwrap().unwrap().digest, artifact.digest());
    }
    let layer = artifact.parsed().layer.digest.to_string();
    assert_eq!(registry.asked().iter().filter(|asked| asked.contains(&layer)).count(), 1);
    assert_eq!(store.list().unwrap().len(), 1);
    assert_eq!(store.collect(Untagged::Keep).unwrap().n_files, 0);
}

struct Gate(Option<&'static str>);

#[async_trait::async_trait]
impl Admission for Gate {
    async fn admit(&self, _: &Client, _: &RegistryRef, _: &ArtifactManifest) -> Result<Marks, Refusal> {
        let key = self.0.ok_or("nobody signed it")?;
        Ok([("key".to_owned(), key.to_owned())].into())
    }

    fn admits_held(&self, _: &RegistryRef, _: &ArtifactManifest, marks: &Marks) -> bool {
        marks.get("key").map(String::as_str) == self.0
    }
}

#[tokio::test]
async fn what_is_not_admitted_is_not_kept_and_what_was_admitted_is_marked() {
    let Place { store, registry, .. } = &place().await;
    registry.hold(&plugin::artifact("1.2.0"), "1");
    let (client, reference) = (client(), registry.reference("acme/plugin:1"));
    fn options(gate: &Gate) -> PullOptions<'_> {
        PullOptions { admission: Some(gate), ..PullOptions::default() }
    }
    let error = pull(&client, store, &reference, &options(&Gate(None)), &Silent).await.unwrap_err();
    assert!(matches!(error, PullError::Refused { .. }), "{error}");
    assert_empty(store);
    for (key, is_asked) in [("one", true), ("one", false), ("two", true)] {
        let before = registry.asked().len();
        let pulled = pull(&client, store, &reference, &options(&Gate(Some(key))), &Silent).await.unwrap();
        assert_eq!(pulled.marks["key"], key);
        assert_eq!(registry.asked().len() > before, is_asked);
    }
}

#[tokio::test]
async fn a_layout_is_pulled_from_without_a_registry() {
    let Place { store, .. } = &place().await;
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path().join("shelf")).unwrap();
    let artifact = plugin::artifact("1.2.0");
    push_to_layout(&artifact, &layout, Some("v1")).unwrap();
    let options = PullOptions::default();
    let pulled = pull_from_layout(&layout, Some("v1"), None, store, &options).await.unwrap();
    assert_eq!((pulled.digest, pulled.was_cached), (artifact.digest(), false));
    let reference = format!("oci-layout:{}:v1", layout.root().display()).parse().unwrap();
    assert_eq!(store.by_reference(&reference).unwrap().unwrap().manifest.digest, artifact.digest());
    assert!(pull_from_layout(&layout, None, None, store, &options).await.unwrap().was_cached);
    let error = pull_from_layout(&layout, Some("v2"), None, store, &options).await.unwrap_err();
    assert!(
        std::error::Error::source(&error).unwrap().to_string().contains("0 of tag `v2`; its tags: v1"),
        "{error:?}"
    );
    std::fs::write(layout.blob_path(&artifact.parsed().layer.digest), "something else").unwrap();
    let other = Store::open(folder.path().join("other")).unwrap();
    pull_from_layout(&layout, Some("v1"), None, &other, &options).await.unwrap_err();
    assert_empty(&other);
}

#[tokio::test]
async fn progress_reaches_the_size_of_what_is_pulled() {
    #[derive(Default)]
    struct Seen(std::sync::Mutex<(u64, u64, bool)>);
    impl flowctl_oci::Progress for Seen {
        fn begin(&self, _: &Digest, total_bytes: u64) {
            self.0.lock().unwrap().0 = total_bytes;
        }
        fn reach(&self, _: &Digest, position_bytes: u64) {
            self.0.lock().unwrap().1 = position_bytes;
        }
        fn end(&self, _: &Digest) {
            self.0.lock().unwrap().2 = true;
        }
    }
    let Place { store, registry, .. } = &place().await;
    let artifact = plugin::artifact("1.2.0");
    registry.hold(&artifact, "1");
    let seen = Arc::new(Seen::default());
    let reference = registry.reference("acme/plugin:1");
    pull(&client(), store, &reference, &PullOptions::default(), &*seen).await.unwrap();
    let size = artifact.component().len() as u64;
    assert_eq!(*seen.0.lock().unwrap(), (size, size, true));
}
