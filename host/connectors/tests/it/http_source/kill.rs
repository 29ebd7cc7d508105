//! A process that is killed has lost nothing that it had accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Rig;
use super::client::{Client, JSON, head};

/// Names the state folder to a child process that is to run the source.
const CHILD: &str = "FLOWCTL_TEST_HTTP_STATE";
const N_CLIENTS: u32 = 8;

/// Runs in a process of its own, see below; by itself it does nothing.
#[tokio::test]
async fn source_of_a_child() {
    let Ok(state) = std::env::var(CHILD) else { return };
    let running = Rig::at(state.into(), json!({})).open(None).await;
    // what reads it knows the line by its start
    writeln!(std::io::stderr(), "listening at {}", running.address).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_200_outlives_a_kill() {
    let rig = Rig::new(json!({}));
    let mut acknowledged = BTreeSet::new();
    let mut sent = BTreeSet::new();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["http_source::kill::source_of_a_child", "--exact", "--nocapture"])
            .env(CHILD, &rig.state)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("the child says where it listens");
            if let Some(address) = line.strip_prefix("listening at ") {
                break address.parse().unwrap();
            }
        };
        let mut clients = JoinSet::new();
        let answers = Arc::new(Semaphore::new(0));
        for number in 0..N_CLIENTS {
            let answers = Arc::clone(&answers);
            clients.spawn(async move {
                let mut client = Client::connect(address).await;
                let (mut answered, mut x) = (Vec::new(), (round * N_CLIENTS + number) * 1_000_000);
                loop {
                    let body = format!(r#"[{{"x": {x}}}, {{"x": {}}}]"#, x + 1);
                    let headers = [("content-type", JSON), ("content-length", &body.len().to_string())];
                    client.write(head("POST", "/", &headers) + &body).await;
                    match client.reply().await {
                        Some(reply) => assert_eq!(reply.status, 200),
                        None => return (answered, x),
                    }
                    answers.add_permits(1);
                    answered.extend([x, x + 1]);
                    x += 2;
                }
            });
        }
        // somewhere in the middle of it
        let enough = answers.acquire_many(200 + 37 * round).await.unwrap();
        child.kill().await.unwrap();
        drop(enough);
        for (answered, under_way) in clients.join_all().await {
            sent.extend(answered.iter().copied().chain([under_way, under_way + 1]));
            acknowledged.extend(answered);
        }
    }
    let mut running = rig.open(None).await;
    let n_spooled = usize::try_from(rig.n_spooled()).unwrap();
    let mut counts = BTreeMap::new();
    for event in running.take(n_spooled).await.0 {
        let event: serde_json::Value = serde_json::from_str(event.split_once(' ').unwrap().1).unwrap();
        *counts.entry(u32::try_from(event["x"].as_u64().unwrap()).unwrap()).or_insert(0) += 1;
    }
    let found: BTreeSet<u32> = counts.keys().copied().collect();
    assert!(found.is_superset(&acknowledged), "lost: {:?}", acknowledged.difference(&found).collect::<Vec<_>>());
    assert!(found.is_subset(&sent));
    assert!(counts.values().all(|count| *count == 1));
    // a request is there whole or not at all
    assert!(found.iter().all(|x| found.contains(&(x ^ 1))));
}
