//! Fetching an index, and changing it beside other writers.

use expect_test::{Expect, expect};
use flowctl_oci::index::{IndexError, Listed, PluginIndex, add, fetch, remove};
use flowctl_oci::{RegistryRef, annotations};
use flowctl_types::Digest;
use tokio::task::JoinSet;

use crate::registry::{Registry, client, put_index};
use crate::shelf::{index, names, notes};

const A: &str = "a: raw -> mid 1.0.0";
const B: &str = "b: mid -> end 1.0.0";

/// A registry that holds the plugins `acme/NAME:VERSION`.
async fn registry(plugins: &[&str]) -> (Registry, Vec<RegistryRef>) {
    let registry = Registry::start().await;
    let held = plugins.iter().map(|text| {
        let notes = notes(text);
        let reference =
            registry.reference(&format!("acme/{}:{}", notes[annotations::NAME], notes[annotations::VERSION]));
        registry.hold_plugin(&reference, &notes);
        reference
    });
    let held = held.collect();
    (registry, held)
}

async fn listed(index: &RegistryRef) -> Vec<String> {
    let (index, _) = fetch(&client(), index).await.unwrap().unwrap();
    names(&index.iter().collect::<Vec<_>>())
}

/// The error and its causes on one line, without the port.
fn told(registry: &Registry, error: &IndexError) -> String {
    let mut told = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told.replace(&registry.server.address().to_string(), "HOST")
}

#[tokio::test]
async fn an_index_that_is_not_there_is_none() {
    let registry = Registry::start().await;
    assert!(fetch(&client(), &registry.reference("acme/index:latest")).await.unwrap().is_none());
}

#[tokio::test]
async fn plugins_that_were_added_are_there_with_their_digests_and_types() {
    let (registry, plugins) = registry(&[A, B]).await;
    let at = registry.reference("acme/index");
    let updated = add(&client(), &at, &plugins).await.unwrap();
    assert!(updated.changes.iter().all(|change| change.before.is_none() && change.after.is_some()));
    let (index, digest) = fetch(&client(), &at).await.unwrap().unwrap();
    assert_eq!(digest, updated.digest);
    assert_eq!(names(&index.iter().collect::<Vec<_>>()), ["a:1.0.0", "b:1.0.0"]);
    let a = index.get(&plugins[0]).unwrap();
    let (_, pinned) = client().manifest(&a.pinned()).await.unwrap();
    assert_eq!((a.digest(), a.annotations()), (pinned, &notes(A)));
    assert_eq!(a.facts().outputs, ["test.mid.v1".parse().unwrap()]);
    // by whatever name, it is the artifact that is documented
    let (manifest, _) = client().manifest(&registry.reference("acme/index:latest")).await.unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["artifactType"], "application/vnd.flowctl.index.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(manifest["config"]["size"], 2);
    assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.flowctl.index.v1+json");
}

#[tokio::test]
async fn what_is_listed_already_is_not_written_again() {
    let (registry, plugins) = registry(&[A]).await;
    let at = registry.reference("acme/index");
    let first = add(&client(), &at, &plugins).await.unwrap();
    let n_puts = || registry.server.requests().iter().filter(|request| request.method == "PUT").count();
    let n_puts_before = n_puts();
    let again = add(&client(), &at, &[plugins[0].clone(), plugins[0].clone()]).await.unwrap();
    assert_eq!((again.digest, n_puts()), (first.digest, n_puts_before));
    assert_eq!(again.changes.len(), 1);
    assert_eq!(again.changes[0].before, again.changes[0].after);
}

#[tokio::test]
async fn a_tag_that_moved_is_replaced() {
    let (registry, plugins) = registry(&[A]).await;
    let at = registry.reference("acme/index");
    add(&client(), &at, &plugins).await.unwrap();
    let moved = registry.hold_plugin(&plugins[0], &notes("a: raw -> other 1.0.0"));
    let updated = add(&client(), &at, &plugins).await.unwrap();
    assert!(updated.changes[0].before.is_some());
    let (index, _) = fetch(&client(), &at).await.unwrap().unwrap();
    assert_eq!((index.len(), index.get(&plugins[0]).unwrap().digest()), (1, moved));
}

#[tokio::test]
async fn tags_or_whole_repositories_are_taken_away() {
    let (registry, plugins) = registry(&["a: raw -> mid 1.0.0", "a: raw -> mid 2.0.0", "a: raw -> mid 3.0.0", B]).await;
    let at = registry.reference("acme/index");
    add(&client(), &at, &plugins).await.unwrap();
    remove(&client(), &at, &plugins[..1]).await.unwrap();
    assert_eq!(listed(&at).await, ["a:2.0.0", "a:3.0.0", "b:1.0.0"]);
    let updated = remove(&client(), &at, &[registry.reference("acme/a"), plugins[1].clone()]).await.unwrap();
    assert_eq!(updated.changes.len(), 2);
    assert_eq!(listed(&at).await, ["b:1.0.0"]);
    let error = remove(&client(), &at, &[plugins[3].clone(), plugins[0].clone()]).await.unwrap_err();
    expect!["the index `HOST/acme/index` does not list `HOST/acme/a:1.0.0`"].assert_eq(&told(&registry, &error));
    assert_eq!(listed(&at).await, ["b:1.0.0"]);
}

#[tokio::test]
async fn what_another_writer_overwrote_is_merged_with_what_he_wrote() {
    let (registry, plugins) = registry(&[A]).await;
    let at = registry.reference("acme/index:latest");
    // he has read the index before us, and writes right after us
    let mut has_written = false;
    registry.meddle(move |request, held| {
        let is_look_back = request.path == "/v2/acme/index/manifests/latest" && request.method == "GET";
        if is_look_back && !has_written && held.contains_key(&("acme/index".to_owned(), "latest".to_owned())) {
            has_written = true;
            put_index(held, "acme/index", "latest", &index(&["theirs: raw -> mid 1.0.0"]));
        }
    });
    add(&client(), &at, &plugins).await.unwrap();
    assert_eq!(listed(&at).await, ["a:1.0.0", "theirs:1.0.0"]);
}

#[tokio::test]
async fn what_another_writer_wrote_before_us_is_not_overwritten() {
    let (registry, plugins) = registry(&[A]).await;
    let at = registry.reference("acme/index:latest");
    let mut has_written = false;
    registry.meddle(move |request, held| {
        if request.path == "/v2/acme/index/manifests/latest" && request.method == "HEAD" && !has_written {
            has_written = true;
            put_index(held, "acme/index", "latest", &index(&["theirs: raw -> mid 1.0.0"]));
        }
    });
    add(&client(), &at, &plugins).await.unwrap();
    assert_eq!(listed(&at).await, ["a:1.0.0", "theirs:1.0.0"]);
    let is_put = |path: &str| path.starts_with("/v2/acme/index/manifests/");
    let puts = registry.server.requests();
    assert_eq!(puts.iter().filter(|request| request.method == "PUT" && is_put(&request.path)).count(), 1);
}

#[tokio::test]
async fn a_later_change_of_the_same_entry_stands() {
    let (registry, plugins) = registry(&[A]).await;
    let at = registry.reference("acme/index:latest");
    let mut theirs = PluginIndex::default();
    let newer = notes("a: raw -> newer 1.0.0");
    theirs.insert(Listed::new(&plugins[0], Digest::of(b"newer"), newer).unwrap());
    let expected = theirs.clone();
    registry.meddle(move |request, held| {
        let is_look_back = request.path == "/v2/acme/index/manifests/latest" && request.method == "GET";
        if is_look_back && held.contains_key(&("acme/index".to_owned(), "latest".to_owned())) {
            put_index(held, "acme/index", "latest", &theirs);
        }
    });
    add(&client(), &at, &plugins).await.unwrap();
    assert_eq!(fetch(&client(), &at).await.unwrap().unwrap().0, expected);
}

#[tokio::test]
async fn writers_that_are_always_faster_end_in_an_error() {
    let (registry, plugins) = registry(&[A]).await;
    let at = registry.reference("acme/index:latest");
    registry.meddle(|request, held| {
        if request.path == "/v2/acme/index/manifests/latest" && request.method == "GET" {
            put_index(held, "acme/index", "latest", &index(&["theirs: raw -> mid 1.0.0"]));
        }
    });
    let error = add(&client(), &at, &plugins).await.unwrap_err();
    expect!["others go on writing the index `HOST/acme/index:latest`: gave up after 24 attempts"]
        .assert_eq(&told(&registry, &error));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_writers_at_once_none_is_lost() {
    let texts: Vec<String> = (0..12).map(|n| format!("p{n}: raw -> mid 1.0.0")).collect();
    let (registry, plugins) = registry(&texts.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let at = registry.reference("acme/index:latest");
    let mut writers = JoinSet::new();
    for plugin in plugins.clone() {
        let at = at.clone();
        writers.spawn(async move { add(&client(), &at, &[plugin]).await });
    }
    for outcome in writers.join_all().await {
        outcome.unwrap();
    }
    let (index, _) = fetch(&client(), &at).await.unwrap().unwrap();
    for plugin in &plugins {
        assert!(index.get(plugin).is_some(), "{plugin} of {:?}", names(&index.iter().collect::<Vec<_>>()));
    }
}

/// How adding `plugin` ends; nothing is written.
async fn check(registry: &Registry, plugin: &RegistryRef, expect: &Expect) {
    let at = registry.reference("acme/index:latest");
    let good = registry.reference("acme/a:1.0.0");
    let error = add(&client(), &at, &[good, plugin.clone()]).await.unwrap_err();
    expect.assert_eq(&told(registry, &error));
    assert!(fetch(&client(), &at).await.unwrap().is_none());
}

#[tokio::test]
async fn a_plugin_that_cannot_be_listed_is_named() {
    let (registry, plugins) = registry(&[A, B]).await;
    check(
        &registry,
        &registry.reference("acme/none:1"),
        &expect![[
            r#"cannot fetch the manifest of `HOST/acme/none:1`: registry `HOST` has no manifest `1` in `acme/none`"#
        ]],
    )
    .await;
    let (_, digest) = client().manifest(&plugins[1]).await.unwrap();
    let untagged = plugins[1].at_digest(digest);
    let error = add(&client(), &registry.reference("acme/index"), &[untagged]).await.unwrap_err();
    assert!(matches!(error, IndexError::Untagged { .. }), "{error}");

    let foreign = registry.reference("acme/foreign:1");
    registry.hold_plugin(&foreign, &[("org.example".to_owned(), "x".to_owned())].into());
    check(
        &registry,
        &foreign,
        &expect![
            "`HOST/acme/foreign:1` cannot be listed: its manifest has no annotations of a plugin (`io.flowctl.*`)"
        ],
    )
    .await;
    let half = registry.reference("acme/half:1");
    registry.hold_plugin(&half, &[(annotations::ROLE.to_owned(), "sink".to_owned())].into());
    check(
        &registry,
        &half,
        &expect!["`HOST/acme/half:1` cannot be listed: its annotation `io.flowctl.name` is missing"],
    )
    .await;
    let image = registry.reference("acme/image:1");
    registry
        .hold(&image, br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#);
    check(
        &registry,
        &image,
        &expect!["`HOST/acme/image:1` cannot be listed: it is an index of several manifests (`application/vnd.oci.image.index.v1+json`), and not one artifact"],
    )
    .await;
}

#[tokio::test]
async fn a_plugin_is_listed_by_the_digest_that_was_named() {
    let (registry, plugins) = registry(&[A]).await;
    let (_, digest) = client().manifest(&plugins[0]).await.unwrap();
    registry.hold_plugin(&plugins[0], &notes(B));
    let at = registry.reference("acme/index");
    add(&client(), &at, &[plugins[0].pinned(digest)]).await.unwrap();
    let (index, _) = fetch(&client(), &at).await.unwrap().unwrap();
    assert_eq!(index.get(&plugins[0]).unwrap().digest(), digest);
}

#[tokio::test]
async fn what_is_no_index_is_neither_read_nor_written() {
    let (registry, plugins) = registry(&[A]).await;
    let error = add(&client(), &plugins[0], &plugins).await.unwrap_err();
    expect!["`HOST/acme/a:1.0.0` is no index of plugins: its artifact type is `none`, where an index of plugins has `application/vnd.flowctl.index.v1+json`"]
        .assert_eq(&told(&registry, &error));
    let (_, digest) = client().manifest(&plugins[0]).await.unwrap();
    let error = add(&client(), &registry.reference("acme/index:1").pinned(digest), &plugins).await.unwrap_err();
    assert!(matches!(error, IndexError::Pinned { .. }), "{error}");
    for (manifest, expected) in [
        (
            r#"{"artifactType":"application/vnd.flowctl.index.v1+json","layers":[]}"#.to_owned(),
            expect![
                "`HOST/acme/index:x` is no index of plugins: its number of layers is `0`, where an index of plugins has `1`"
            ],
        ),
        (
            format!(
                r#"{{"artifactType":"application/vnd.flowctl.index.v1+json","layers":[{{"mediaType":"application/vnd.flowctl.index.v1+json","size":16777217,"digest":"{digest}"}}]}}"#
            ),
            expect!["`HOST/acme/index:x` is no index of plugins: it has 16777217 bytes, the limit is 16777216"],
        ),
    ] {
        let at = registry.reference("acme/index:x");
        registry.hold(&at, manifest.as_bytes());
        expected.assert_eq(&told(&registry, &fetch(&client(), &at).await.unwrap_err()));
    }
}
