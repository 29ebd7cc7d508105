//! Layouts on disk, also those that others wrote.

use flowctl_oci::{Layout, LayoutError, push_to_layout};

use crate::plugin;

#[test]
fn a_tag_stands_for_what_it_was_last_given_to() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let (one, two) = (plugin::artifact("1.0.0"), plugin::artifact("2.0.0"));
    for artifact in [&one, &two, &one] {
        push_to_layout(artifact, &layout, Some("v1")).unwrap();
    }
    push_to_layout(&two, &layout, None).unwrap();
    assert_eq!(layout.entries().unwrap().len(), 2);
    assert_eq!(layout.artifact(Some("v1"), None).unwrap().digest(), one.digest());
    assert_eq!(layout.artifact(None, Some(two.digest())).unwrap().digest(), two.digest());
    assert!(matches!(layout.find(None, None), Err(LayoutError::NotOne { n_found: 2, .. })));
    assert!(matches!(layout.find(Some("v2"), None), Err(LayoutError::NotOne { n_found: 0, .. })));
}

#[test]
fn what_others_wrote_in_the_index_stays() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let index = folder.path().join("index.json");
    let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let entry = format!(
        r#"{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{digest}","size":0,"platform":{{"os":"linux"}}}}"#
    );
    std::fs::write(&index, format!(r#"{{"schemaVersion":2,"manifests":[{entry}],"annotations":{{"a":"b"}}}}"#))
        .unwrap();
    push_to_layout(&plugin::artifact("1.0.0"), &layout, Some("v1")).unwrap();
    let text = std::fs::read_to_string(&index).unwrap();
    assert!(text.contains(r#""platform":{"os":"linux"}"#) && text.contains(r#""annotations":{"a":"b"}"#), "{text}");
}

#[test]
fn a_folder_that_is_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Layout::open(folder.path()), Err(LayoutError::NoLayout { .. })));
    std::fs::write(folder.path().join("thesis.tex"), "mine").unwrap();
    assert!(matches!(Layout::create(folder.path()), Err(LayoutError::Occupied { .. })));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    std::fs::write(folder.path().join("oci-layout"), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
    assert!(matches!(Layout::open(folder.path()), Err(LayoutError::Version { .. })));
}
