//! Components and their heartbeats.

use flowctl_store::{ComponentRecord, ComponentRole, Heartbeat, HostStore};

use crate::support::store;

fn component(tenant: &str, id: &str) -> ComponentRecord {
    ComponentRecord {
        tenant: tenant.to_owned(),
        id: id.to_owned(),
        name: "ttp processor".to_owned(),
        description: "finds transfers \"of\" tokens".to_owned(),
        version: "1.2.3".to_owned(),
        role: ComponentRole::Processor,
        input_types: vec!["stellar.ledger.v1".to_owned()],
        output_types: vec!["stellar.token.transfer.v1".to_owned(), "a,b".to_owned()],
        endpoint: "10.0.0.7:50051".to_owned(),
        metadata: [("network".to_owned(), "testnet".to_owned())].into(),
        node: Some("ttp".to_owned()),
        registered_at: 100,
        last_heartbeat: 100,
        status: "starting".to_owned(),
        metrics: [].into(),
    }
}

fn heartbeat(id: &str, at: i64) -> Heartbeat {
    let metrics = [("events".to_owned(), at.to_string())].into();
    Heartbeat { tenant: "t".to_owned(), id: id.to_owned(), at, status: "healthy".to_owned(), metrics }
}

#[test]
fn a_component_is_found_again_by_the_next_process() {
    let (folder, store) = store();
    let source = ComponentRecord {
        role: ComponentRole::Source,
        node: None,
        input_types: vec![],
        ..component("another", "ledgers")
    };
    let sink = ComponentRecord { role: ComponentRole::Sink, ..component("t", "sink") };
    for component in [&component("t", "ttp"), &source, &sink] {
        store.put_component(component).unwrap();
    }
    drop(store);
    let store = HostStore::open(folder.path()).unwrap();
    assert_eq!(store.components().unwrap(), [source, sink, component("t", "ttp")]);
}

#[test]
fn registering_again_takes_the_place_of_the_former_registration() {
    let (_folder, store) = store();
    store.put_component(&component("t", "ttp")).unwrap();
    store.beat(&[heartbeat("ttp", 300)]).unwrap();
    let again = ComponentRecord { version: "2.0.0".to_owned(), registered_at: 400, ..component("t", "ttp") };
    store.put_component(&again).unwrap();
    assert_eq!(store.components().unwrap(), [again]);
}

#[test]
fn a_heartbeat_changes_its_component_alone_and_never_back_in_time() {
    let (_folder, store) = store();
    for id in ["a", "b"] {
        store.put_component(&component("t", id)).unwrap();
    }
    store.put_component(&component("u", "a")).unwrap();
    store.beat(&[heartbeat("a", 300), heartbeat("a", 200), heartbeat("unknown", 300)]).unwrap();
    let Heartbeat { at, status, metrics, .. } = heartbeat("a", 300);
    let beaten = ComponentRecord { last_heartbeat: at, status, metrics, ..component("t", "a") };
    assert_eq!(store.components().unwrap(), [beaten, component("t", "b"), component("u", "a")]);
}

#[test]
fn a_component_that_is_removed_is_gone_for_its_tenant_alone() {
    let (_folder, store) = store();
    for tenant in ["t", "u"] {
        store.put_component(&component(tenant, "a")).unwrap();
    }
    assert!(store.remove_component("t", "a").unwrap());
    assert!(!store.remove_component("t", "a").unwrap());
    assert_eq!(store.components().unwrap(), [component("u", "a")]);
}
