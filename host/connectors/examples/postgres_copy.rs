//! Rows a second of the sink `postgres`, beside `\copy` of psql with the same rows.
//!
//! `cargo run --release -p flowctl-connectors --example postgres_copy [ROWS]`
//!
//! Both write token transfers into the same table of one server, started for this, in
//! turns; each round starts with an empty table. The sink is fed batches of 1,000 events
//! and takes an epoch each 100,000; psql reads a file in COPY's text format. Both have
//! their connection to make within their time. Medians of five rounds.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flowctl_connectors::{Pipeline, sink};
use flowctl_runtime::Sink;
use flowctl_schema::{Role, Schema};
use flowctl_test_support::postgres::Server;
use flowctl_topology::{CallLimits, Component, Grants, Node, Settings};
use flowctl_types::{Batch, Columns, Ids};

const WIT: &str = include_str!("../../../wit/events/stellar-token-transfer/event.wit");
const ROUNDS: usize = 5;
const BATCH: usize = 1_000;
const BATCHES_PER_EPOCH: usize = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let n_rows = std::env::args().nth(1).map_or(Ok(500_000), |text| text.parse::<usize>())?;
    let schema = Schema::from_wit(WIT)?.into_iter().next().ok_or("the package defines an event type")?;
    let (batches, text) = transfers(&schema, n_rows)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("transfers.txt");
    std::fs::write(&file, text)?;

    let server = Server::start();
    let node = node(&server.url(), schema);
    let pipeline = |round: usize| Pipeline {
        name: "bench".parse().expect("the name is one"),
        state_id: round.to_string(),
        is_new: true,
        state_dir: folder.path().to_owned(),
        base_dir: None,
    };
    // makes the table
    sink(&node, &pipeline(ROUNDS))?.open().await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        empty(&server);
        theirs.push(copy(&server, &file)?);
        check(&server, n_rows)?;
        empty(&server);
        let mut sink = sink(&node, &pipeline(round))?;
        ours.push(write(&mut *sink, &batches).await?);
        check(&server, n_rows)?;
    }
    let [ours, theirs] = [median(ours), median(theirs)].map(|time| n_rows as f64 / time.as_secs_f64());
    println!("{n_rows} token transfers, median of {ROUNDS} rounds, rows/s");
    println!("psql \\copy     {theirs:9.0}");
    println!("sink postgres  {ours:9.0}  {:.2} of psql", ours / theirs);
    Ok(())
}

async fn write(sink: &mut dyn Sink, batches: &[Arc<Batch>]) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    sink.open().await?;
    for (epoch, batches) in (1..).zip(batches.chunks(BATCHES_PER_EPOCH)) {
        for batch in batches {
            if !sink.write(batch).await?.is_empty() {
                return Err("an event was refused".into());
            }
        }
        sink.flush(epoch).await?;
    }
    Ok(start.elapsed())
}

fn copy(server: &Server, file: &Path) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    let command = format!("\\copy stellar_token_transfer_v1 from '{}'", file.display());
    let status = Command::new(server.psql_program())
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &server.url(), "-c", &command])
        .status()?;
    if status.success() { Ok(start.elapsed()) } else { Err("psql failed".into()) }
}

fn empty(server: &Server) {
    server.psql(&server.url(), "TRUNCATE stellar_token_transfer_v1");
    server.psql(&server.url(), "CHECKPOINT");
}

fn check(server: &Server, n_rows: usize) -> Result<(), Box<dyn Error>> {
    let found = server.psql(&server.url(), "SELECT count(*) FROM stellar_token_transfer_v1");
    if found == n_rows.to_string() { Ok(()) } else { Err(format!("{found} rows are there, not {n_rows}").into()) }
}

/// The same rows as batches and as text for COPY.
type Rows = (Vec<Arc<Batch>>, String);

/// Makes rows that look like those of a network.
fn transfers(schema: &Schema, n_rows: usize) -> Result<Rows, Box<dyn Error>> {
    let mut text = String::new();
    let mut batches = Vec::new();
    let mut columns = Columns::default();
    let mut random = 1_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 16
    };
    let address = |letter: char, number: u64| format!("{letter}{:A>55}", format!("{number:X}"));
    for row in 0..n_rows {
        let ledger = 50_000_000 + row / 400;
        let closed_at = 1_700_000_000 + row / 80;
        let hash = format!("{:016x}{:016x}{:016x}{:016x}", next(), next(), next(), next());
        let [contract, from, to] =
            [('C', 200), ('G', 100_000), ('G', 100_000)].map(|(letter, n)| address(letter, next() % n));
        let asset = if row % 3 == 0 { "native".to_owned() } else { format!("USDC:{}", address('G', next() % 50)) };
        let amount = next() % 1_000_000_000_000;
        let (transaction, operation) = (row % 400 + 1, row % 7 + 1);
        let muxed = (row % 10 == 0).then(&mut next);
        let json = serde_json::json!({
            "kind": "transfer", "ledger_sequence": ledger, "closed_at": closed_at, "tx_hash": hash,
            "transaction_index": transaction, "operation_index": operation, "contract_address": contract,
            "from": from, "to": to, "asset": asset, "amount": amount.to_string(),
            "to_muxed": muxed.map(|id| serde_json::json!({ "id": id })),
        });
        schema.json_to_payload(json.to_string().as_bytes(), &mut columns.data)?;
        columns.finish_event(0);
        if columns.len() == BATCH || row + 1 == n_rows {
            let ids = Ids::numbered("bench", (batches.len() * BATCH) as u64);
            batches.push(Arc::new(Batch::new(std::mem::take(&mut columns), ids)));
        }
        let muxed = muxed.map_or_else(|| "\\N".to_owned(), |id| format!("{{\"id\":{id}}}"));
        writeln!(
            text,
            "transfer\t{ledger}\t{closed_at}\t{hash}\t{transaction}\t{operation}\t{contract}\t{from}\t{to}\t{asset}\t{amount}\t{muxed}"
        )?;
    }
    Ok((batches, text))
}

fn node(url: &str, schema: Schema) -> Node {
    let config = serde_json::json!({ "url": url });
    Node {
        id: "out".parse().expect("the name is one"),
        role: Role::Sink,
        component: Component::Connector { name: "postgres".to_owned() },
        is_available: true,
        inputs: vec![schema],
        outputs: Vec::new(),
        shown_config: config.clone(),
        config,
        grants: Grants::default(),
        parallelism: 1.try_into().expect("1 is not 0"),
        key: None,
        is_stateful: false,
        brings_keys: false,
        has_timer: false,
        tick: None,
        limits: CallLimits::default(),
        settings: Settings::default(),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
