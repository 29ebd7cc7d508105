//! Events that clients post are taken whole, once, and for good.

mod client;
mod intake;
mod kill;
mod limits;
mod replay;
mod spool;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use flowctl_connectors::{Pipeline, source};
use flowctl_runtime::{Bounds, Fault, Piece, Source};
use flowctl_schema::{Role, Schema};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use self::client::Client;
use crate::support::{node, pipeline, schema};

const WIT: &str = "package test:point@1.0.0; interface event { record point { x: u32, name: option<string> } }";
const BOUNDS: Bounds = Bounds { max_events: 1_000, max_bytes: 1 << 20, until: None };
/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A pipeline's state folder, and the configuration of its source.
struct Rig {
    state: PathBuf,
    /// Removes it in the end.
    _folder: Option<TempDir>,
    config: Value,
    schema: Schema,
}

/// A source that is open.
struct Running {
    source: Box<dyn Source>,
    address: SocketAddr,
}

impl Rig {
    /// With a folder of its own. `config` lacks only type and address.
    fn new(config: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().to_owned();
        Self { _folder: Some(folder), ..Self::at(state, config) }
    }

    fn at(state: PathBuf, mut config: Value) -> Self {
        config["type"] = json!("test.point.v1");
        config["listen"] = json!("127.0.0.1:0");
        Self { state, _folder: None, config, schema: schema(WIT) }
    }

    fn node_dir(&self) -> PathBuf {
        self.state.join("nodes/node")
    }

    fn spool(&self) -> PathBuf {
        self.node_dir().join("spool.sqlite")
    }

    fn source(&self) -> Box<dyn Source> {
        let pipeline = Pipeline { state_dir: self.state.clone(), ..pipeline() };
        let node = node("http", Role::Source, self.config.clone(), vec![], vec![self.schema.clone()]);
        source(&node, &pipeline).unwrap()
    }

    /// Opens a source as the runtime does: again as long as it asks for that.
    async fn try_open(&self, position: Option<&[u8]>) -> Result<Running, Fault> {
        let mut source = self.source();
        let opened = async {
            loop {
                match source.open(position).await {
                    Err(Fault::Retry(_)) => tokio::task::yield_now().await,
                    result => return result,
                }
            }
        };
        timeout(PATIENCE, opened).await.expect("it opens or fails")?;
        let address = std::fs::read_to_string(self.node_dir().join("address")).unwrap();
        Ok(Running { source, address: address.trim().parse().unwrap() })
    }

    async fn open(&self, position: Option<&[u8]>) -> Running {
        self.try_open(position).await.unwrap()
    }

    /// The one line that opening says when it fails for good.
    async fn open_error(&self) -> String {
        match self.try_open(None).await {
            Ok(_) => panic!("it opened"),
            Err(Fault::Fatal(text)) => text.replace(&*self.state.to_string_lossy(), "STATE"),
            Err(fault) => panic!("not fatal: {fault}"),
        }
    }

    /// How many events the spool holds.
    fn n_spooled(&self) -> i64 {
        let spool = rusqlite::Connection::open(self.spool()).unwrap();
        spool.query_row("SELECT count(*) FROM events", (), |row| row.get(0)).unwrap()
    }
}

impl Running {
    async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    async fn next(&mut self, bounds: &Bounds) -> Piece {
        timeout(PATIENCE, self.source.next(bounds)).await.expect("events are there").unwrap()
    }

    /// Reads until there are `n_events`, and shows them. The last position too.
    async fn take(&mut self, n_events: usize) -> (Vec<String>, Vec<u8>) {
        let (mut events, mut position) = (Vec::new(), Vec::new());
        while events.len() < n_events {
            let piece = self.next(&BOUNDS).await;
            events.extend(show(&piece));
            position = piece.position;
        }
        assert_eq!(events.len(), n_events);
        (events, position)
    }
}

/// Id and JSON of each event, refused ones behind the others.
fn show(piece: &Piece) -> Vec<String> {
    let schema = schema(WIT);
    let mut shown = Vec::new();
    if let Some(batch) = &piece.batch {
        assert!(batch.columns.timestamps.iter().all(|timestamp| *timestamp > 1_700_000_000_000_000_000));
        for (index, payload) in batch.columns.payloads().enumerate() {
            let mut json = Vec::new();
            schema.payload_to_json(payload, &mut json).unwrap();
            shown.push(format!("{} {}", batch.ids.get(index), String::from_utf8(json).unwrap()));
        }
    }
    for refused in &piece.rejected {
        let payload = String::from_utf8_lossy(&refused.payload);
        shown.push(format!("{} refused: {payload} ({})", refused.id, refused.reason));
    }
    assert!(!piece.is_finished);
    shown
}
