//! The proxy that injects faults, before a real registry.
#![allow(clippy::unwrap_used)]

use std::error::Error as _;

use flowctl_test_support::fault_proxy::{Fault, FaultProxy, Gate, Rule};
use flowctl_test_support::registry::{Artifact, Registry, digest};
use reqwest::Response;

/// More than any buffer on the way holds.
const N_BYTES: usize = 8 << 20;

/// A registry behind a proxy, with one blob in it.
struct Shelf {
    registry: Registry,
    proxy: FaultProxy,
    blob: Vec<u8>,
    http: reqwest::Client,
}

impl Shelf {
    async fn new() -> Self {
        let registry = Registry::start();
        let blob: Vec<u8> = (0..N_BYTES as u64 / 8).flat_map(u64::to_le_bytes).collect();
        registry.push("acme/big", "1", &Artifact::of(blob.clone()));
        let proxy = FaultProxy::start(registry.address()).await;
        // installed already is just as well
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { registry, proxy, blob, http: reqwest::Client::new() }
    }

    fn url(&self) -> String {
        format!("{}/v2/acme/big/blobs/{}", self.proxy.url(), digest(&self.blob))
    }

    /// How often the registry was asked for the blob. Not sooner than it has answered
    /// does it log a request, and it may be late.
    fn n_downloads(&self) -> usize {
        self.registry.requests().iter().filter(|logged| logged.method == "GET").count()
    }

    async fn get(&self) -> reqwest::Result<Response> {
        self.http.get(self.url()).send().await
    }

    /// What comes of the blob, and whether it ends as it should.
    async fn read(&self) -> (Vec<u8>, Result<(), reqwest::Error>) {
        let mut response = self.get().await.unwrap();
        let mut read = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => read.extend(chunk),
                Ok(None) => return (read, Ok(())),
                Err(error) => return (read, Err(error)),
            }
        }
    }
}

#[tokio::test]
async fn without_rules_all_passes_and_is_counted() {
    let shelf = Shelf::new().await;
    assert_eq!(shelf.read().await.0, shelf.blob);
    let part = shelf.http.get(shelf.url()).header("Range", "bytes=8388600-").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(part.bytes().await.unwrap(), shelf.blob[8_388_600..]);
    let seen: Vec<_> = shelf.proxy.passages();
    let facts = seen.iter().map(|passage| (passage.status, passage.range(), passage.n_body_bytes, passage.is_faulted));
    let wanted = [(Some(200), None, N_BYTES as u64, false), (Some(206), Some("bytes=8388600-"), 8, false)];
    assert_eq!(facts.collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn an_upload_streams_through_and_is_led_to_the_proxy_again() {
    let shelf = Shelf::new().await;
    let begun = shelf.http.post(format!("{}/v2/acme/other/blobs/uploads/", shelf.proxy.url())).send().await.unwrap();
    let location = begun.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(&shelf.proxy.url()), "{location}");
    let blob: Vec<u8> = shelf.blob.iter().rev().copied().collect();
    let put = shelf.http.put(format!("{location}&digest={}", digest(&blob))).body(blob.clone()).send().await.unwrap();
    assert_eq!(put.status(), 201);
    assert_eq!(shelf.registry.blob("acme/other", &digest(&blob)), Some(blob));
}

#[tokio::test]
async fn an_answer_of_a_rule_comes_as_often_as_it_says_and_the_server_is_not_asked() {
    let shelf = Shelf::new().await;
    shelf.proxy.inject(Rule::new(Fault::too_many(7)).method("GET").path("/blobs/").after(1).times(1));
    shelf.proxy.inject(Rule::new(Fault::status(500)).times(1));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let answer = shelf.get().await.unwrap();
        let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        statuses.push((answer.status().as_u16(), retry_after));
        answer.bytes().await.unwrap();
    }
    assert_eq!(statuses, [(500, None), (429, Some("7".to_owned())), (200, None)]);
    assert!(shelf.n_downloads() <= 1);
    assert_eq!(shelf.proxy.passages().iter().map(|p| p.is_faulted).collect::<Vec<_>>(), [true, true, false]);
    shelf.proxy.inject(Rule::new(Fault::status(500)));
    shelf.proxy.heal();
    assert_eq!(shelf.get().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_connection_is_reset_before_an_answer_and_within_an_upload() {
    let shelf = Shelf::new().await;
    for fault in [Fault::Reset, Fault::ResetUpload { after: 1 << 20 }] {
        shelf.proxy.inject(Rule::new(fault));
        let sent = shelf.http.put(shelf.url()).body(shelf.blob.clone()).send().await;
        let error = sent.unwrap_err();
        assert!(is_reset(&error), "{error:?}");
        shelf.proxy.heal();
    }
    assert!(shelf.proxy.passages().iter().all(|passage| passage.status.is_none()));
}

#[tokio::test]
async fn a_body_is_cut_at_the_byte_and_the_rest_can_be_had() {
    let shelf = Shelf::new().await;
    for after in [0, 1, 100_000, 5_000_001] {
        shelf.proxy.inject(Rule::new(Fault::Cut { after: after as u64 }));
        let (read, end) = shelf.read().await;
        assert!(end.is_err());
        assert_eq!(read.len(), after);
        assert!(read == shelf.blob[..after]);
        shelf.proxy.heal();
    }
    let rest = shelf.http.get(shelf.url()).header("Range", "bytes=5000001-").send().await.unwrap();
    assert!(rest.bytes().await.unwrap() == shelf.blob[5_000_001..]);
}

#[tokio::test]
async fn a_body_is_reset() {
    let shelf = Shelf::new().await;
    shelf.proxy.inject(Rule::new(Fault::ResetBody { after: 1 << 20 }));
    let (read, end) = shelf.read().await;
    assert!(is_reset(&end.unwrap_err()));
    assert!(read.len() <= 1 << 20);
}

#[tokio::test]
async fn bytes_are_replaced_across_pieces() {
    let shelf = Shelf::new().await;
    let with = vec![0xff; 3 << 20];
    shelf.proxy.inject(Rule::new(Fault::Replace { at: 1_000_003, with: with.clone() }));
    let (read, end) = shelf.read().await;
    end.unwrap();
    let mut wanted = shelf.blob.clone();
    wanted[1_000_003..1_000_003 + with.len()].copy_from_slice(&with);
    assert!(read == wanted);
}

#[tokio::test]
async fn a_request_and_a_body_wait_until_the_gate_opens() {
    let shelf = Shelf::new().await;
    let gates = [Gate::new(), Gate::new()];
    shelf.proxy.inject(Rule::new(Fault::Hold(gates[0].clone())).times(2));
    shelf.proxy.inject(Rule::new(Fault::Stall { after: 3 << 20, gate: gates[1].clone() }));
    let facts = async {
        gates[0].was_reached(2).await;
        assert_eq!(shelf.n_downloads(), 0);
        gates[0].open();
        gates[1].was_reached(1).await;
        let sent = shelf.proxy.passages()[2].n_body_bytes;
        gates[1].open();
        sent
    };
    let (first, second, third, sent) = tokio::join!(shelf.read(), shelf.read(), shelf.read(), facts);
    for (read, end) in [first, second, third] {
        end.unwrap();
        assert!(read == shelf.blob);
    }
    assert_eq!(sent, 3 << 20);
}

fn is_reset(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io
            .is_some_and(|io| matches!(io.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe))
        {
            return true;
        }
        cause = error.source();
    }
    false
}
