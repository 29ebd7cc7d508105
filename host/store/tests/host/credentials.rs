//! Credentials.

use flowctl_store::{CredentialKind, CredentialRecord, HostStore, StateError};

use crate::support::store;

fn credential(tenant: &str, id: &str, digest: u8) -> CredentialRecord {
    CredentialRecord {
        id: id.to_owned(),
        tenant: tenant.to_owned(),
        role: "operator".to_owned(),
        kind: CredentialKind::Token,
        digest: [digest; 32],
        description: "the build server".to_owned(),
        created_at: 10,
        expires_at: Some(20),
        last_used_at: None,
    }
}

#[test]
fn a_credential_is_found_by_its_digest_by_the_next_process() {
    let (folder, store) = store();
    assert!(!store.has_credentials().unwrap());
    let certificate =
        CredentialRecord { kind: CredentialKind::Certificate, expires_at: None, ..credential("a", "cert", 2) };
    store.put_credential(&credential("t", "token", 1)).unwrap();
    store.put_credential(&certificate).unwrap();
    drop(store);
    let store = HostStore::open(folder.path()).unwrap();
    assert!(store.has_credentials().unwrap());
    assert_eq!(store.credential(&[1; 32]).unwrap(), Some(credential("t", "token", 1)));
    assert_eq!(store.credential(&[3; 32]).unwrap(), None);
    assert_eq!(store.credentials(None).unwrap(), [certificate.clone(), credential("t", "token", 1)]);
    assert_eq!(store.credentials(Some("a")).unwrap(), [certificate]);
}

#[test]
fn no_credential_takes_the_place_of_another() {
    let (_folder, store) = store();
    store.put_credential(&credential("t", "a", 1)).unwrap();
    for again in [credential("u", "a", 2), credential("u", "b", 1)] {
        let error = store.put_credential(&again).unwrap_err();
        assert!(matches!(error, StateError::Exists { .. }), "{error}");
    }
    assert_eq!(store.credentials(None).unwrap(), [credential("t", "a", 1)]);
}

#[test]
fn a_credential_that_was_revoked_proves_nothing() {
    let (_folder, store) = store();
    store.put_credential(&credential("t", "a", 1)).unwrap();
    assert!(store.revoke("a").unwrap());
    assert!(!store.revoke("a").unwrap());
    assert_eq!(store.credential(&[1; 32]).unwrap(), None);
    assert!(!store.has_credentials().unwrap());
}

#[test]
fn the_latest_use_is_noted() {
    let (_folder, store) = store();
    store.put_credential(&credential("t", "a", 1)).unwrap();
    for at in [30, 50, 40] {
        store.credential_used("a", at).unwrap();
    }
    store.credential_used("unknown", 60).unwrap();
    let want = CredentialRecord { last_used_at: Some(50), ..credential("t", "a", 1) };
    assert_eq!(store.credential(&[1; 32]).unwrap(), Some(want));
}
