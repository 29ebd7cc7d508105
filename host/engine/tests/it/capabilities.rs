//! A guest reaches what its node was granted and nothing else.

use std::net::TcpListener;

use flowctl_topology::{Grants, Node};

use crate::support::{batch, chain, engine, guest, instance, node, stage};

fn forbidden(grants: Grants) -> Node {
    Node { grants, ..node("prober", &guest("forbidden")) }
}

/// What came of trying a door.
async fn attempt(node: &Node, door: &str) -> Result<String, String> {
    let outcome = instance(node).await.process(&batch([door])).await.unwrap();
    match outcome.rejected.first() {
        Some(rejection) => Err(rejection.reason.clone()),
        None => Ok(String::from_utf8(outcome.outputs[0].columns.payload(0).to_vec()).unwrap()),
    }
}

#[tokio::test]
async fn nothing_is_reachable_by_default() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let node = forbidden(Grants::default());
    let doors = [
        "env PATH".to_owned(),
        "file /etc/passwd".to_owned(),
        "write /tmp/flowctl-was-here".to_owned(),
        format!("connect {address}"),
        "listen 127.0.0.1:0".to_owned(),
        "lookup localhost".to_owned(),
        "input".to_owned(),
    ];
    for door in doors {
        let found = attempt(&node, &door).await;
        assert!(found.is_err(), "`{door}` is open: {found:?}");
    }
}

#[tokio::test]
async fn granted_variables_are_there_and_no_others() {
    let node = forbidden(Grants { env: vec![("TOKEN".into(), "secret".into())], ..Grants::default() });
    assert_eq!(attempt(&node, "env TOKEN").await, Ok("secret".into()));
    assert!(attempt(&node, "env PATH").await.is_err());
}

#[tokio::test]
async fn granted_directory_is_read_but_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    std::fs::write(path.join("lookup.csv"), "a,b").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path.join("way-out")).unwrap();
    let node = forbidden(Grants { dirs: vec![path.clone()], ..Grants::default() });
    let shown = path.display();
    assert_eq!(attempt(&node, &format!("file {shown}/lookup.csv")).await, Ok("a,b".into()));
    for door in
        [format!("write {shown}/new"), format!("file {shown}/way-out"), format!("file {shown}/../../etc/passwd")]
    {
        assert!(attempt(&node, &door).await.is_err(), "`{door}` is open");
    }
    assert!(!path.join("new").exists());
}

#[tokio::test]
async fn granted_address_is_dialled_and_no_other() {
    let listeners = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let [granted, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let node = forbidden(Grants { hosts: vec![granted.to_string()], ..Grants::default() });
    assert_eq!(attempt(&node, &format!("connect {granted}")).await, Ok("connected".into()));
    for door in [format!("connect {other}"), "listen 127.0.0.1:0".into(), "lookup example.com".into()] {
        assert!(attempt(&node, &door).await.is_err(), "`{door}` is open");
    }
}

#[tokio::test]
async fn granted_name_is_looked_up_and_no_other() {
    let node = forbidden(Grants { hosts: vec!["localhost:80".into()], ..Grants::default() });
    assert!(attempt(&node, "lookup localhost").await.is_ok());
    assert!(attempt(&node, "lookup example.com").await.is_err());
}

#[tokio::test]
async fn grants_that_cannot_be_given_are_named() {
    let cases = [
        (Grants { hosts: vec!["example.com".into()], ..Grants::default() }, "`example.com`"),
        (Grants { dirs: vec!["/no/such/folder".into()], ..Grants::default() }, "`/no/such/folder`"),
    ];
    for (grants, name) in cases {
        let error = match stage(&engine(), &forbidden(grants)).await {
            Err(error) => error,
            Ok(stage) => flowctl_runtime::Stage::instantiate(&*stage).await.err().unwrap(),
        };
        let text = chain(&error);
        assert!(text.contains(&format!("cannot grant {name} to node `prober`")), "{text}");
    }
}

#[tokio::test]
async fn unknown_import_is_named_before_anything_runs() {
    let error = stage(&engine(), &node("asker", &guest("unknown_import"))).await.err().unwrap();
    let want = "`unknown_import` asks for `launch`, which flowctl does not provide";
    assert_eq!(chain(&error), format!("cannot prepare node `asker`: {want}"));
}
