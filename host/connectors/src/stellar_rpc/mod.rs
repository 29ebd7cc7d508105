//! Source `stellar-rpc`: ledgers of the Stellar network, from a Stellar RPC server.
//!
//! It reads from a ledger on and follows the head of the network; `getLedgers` is asked
//! for a page at a time, one page ahead of what was handed over. A payload is the XDR of
//! a LedgerCloseMeta as the server has it. An event's time is the ledger's close time,
//! its id is `NODE/SEQUENCE`, whoever serves it. The position is the next ledger and
//! the hash of the one before, see [`Place`].
//!
//! Invariant: ledgers come out in order with none missing. Each must have the number in
//! its header that it was given out under, and name the hash of the ledger before it.
//! What is in doubt is asked for again, and ends the source if it stays so. A server
//! that is down, slow or busy does not: it is asked again until `give_up_after`.

mod calls;
mod fetcher;
mod page;
mod position;
mod source;
mod start;
mod trouble;

use std::path::PathBuf;
use std::time::Duration;

use flowctl_runtime::Source;
use flowctl_topology::Node;
use serde::Deserialize;

use self::calls::Server;
use self::fetcher::{Fetcher, Plan};
use self::position::Place;
use self::source::StellarRpc;
use self::start::{Memo, Start};
use self::trouble::Trouble;
use crate::base_dir::BaseDir;
use crate::http_client::{Client, ClientSettings, Header, Patience};
use crate::reach::Reach;
use crate::{ConnectorError, Pipeline, config};

pub(crate) const NAME: &str = "stellar-rpc";

/// The configuration, as WIT; [`Config`] is what it is read into.
pub(crate) const CONFIG: &str = "
/// Which server to ask, and for which ledgers.
record config {
    /// Where the server is, such as `https://soroban-testnet.stellar.org`.
    url: string,
    /// The network that the ledgers are from: its passphrase, or `pubnet` or `testnet`.
    /// Processors read it from the batches' attribute `network`. Default: what the
    /// server says. A server of another network is refused.
    network: option<string>,
    /// Where to start: `latest`, `oldest` (what the server still has), or a ledger's
    /// sequence number in quotes, such as `\"1410048\"`. Default: `latest`. A pipeline
    /// that resumes goes on where it was.
    start: option<string>,
    /// Sequence number of the last ledger. Default: without end.
    end: option<u32>,
    /// Most ledgers in one answer, 1 to 200. Default: 10.
    limit: option<u32>,
    /// Time between two questions for a ledger that has not closed yet, 1ms to 1h.
    /// Default: `1s`.
    poll-interval: option<string>,
    /// Longest time from a question to the end of its answer, 10ms to 10m. Default:
    /// `30s`.
    timeout: option<string>,
    /// Largest answer, 1KiB to 1GiB: what is larger is asked for in smaller parts.
    /// Default: `64MiB`.
    max-answer: option<string>,
    /// How long a server that fails is asked again before the source fails, 0 to 168h.
    /// Default: `10m`.
    give-up-after: option<string>,
    /// Headers that go with every question, such as a token.
    headers: option<list<header>>,
    /// A file of certificates (PEM) to trust beside those of the system.
    ca-file: option<string>,
}

/// A header of HTTP.
record header {
    /// Its name, such as `Authorization`.
    name: string,
    /// Its value. It is never shown.
    value: string,
}
";

/// Most ledgers that servers take as `limit`, unless they are set up otherwise.
const MAX_LIMIT: u32 = 200;

/// Without `Debug`: URL and headers hold secrets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: String,
    network: Option<String>,
    start: Option<String>,
    end: Option<u32>,
    limit: Option<u32>,
    poll_interval: Option<String>,
    timeout: Option<String>,
    max_answer: Option<String>,
    give_up_after: Option<String>,
    headers: Option<Vec<Header>>,
    ca_file: Option<PathBuf>,
}

/// The configuration, checked and with its defaults.
struct Settings {
    client: ClientSettings,
    start: Start,
    end: Option<u32>,
    limit: u32,
    network: Option<String>,
    poll_interval: Duration,
    give_up_after: Duration,
    max_answer_bytes: usize,
}

impl Settings {
    fn read(config: Config) -> Result<Self, ConnectorError> {
        let refuse = |field, reason: &str| Err(ConnectorError::field(NAME, field, reason));
        const MS: Duration = Duration::from_millis(1);
        const HOUR: Duration = Duration::from_secs(3_600);
        let duration = |field, written: &Option<String>, default, first, last| {
            config::duration(NAME, field, written.as_deref(), default, first..=last)
        };
        let poll_interval = duration("poll_interval", &config.poll_interval, 1_000 * MS, MS, HOUR)?;
        let timeout = duration("timeout", &config.timeout, 30_000 * MS, 10 * MS, HOUR / 6)?;
        let give_up_after = duration("give_up_after", &config.give_up_after, HOUR / 6, Duration::ZERO, 168 * HOUR)?;
        let max_answer = config.max_answer.as_deref();
        let max_answer_bytes = config::size(NAME, "max_answer", max_answer, 64 << 20, 1 << 10..=1 << 30)?;
        let limit = config.limit.unwrap_or(10);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return refuse("limit", "must be 1 to 200: ledgers in one answer");
        }
        let start = config.start.as_deref().map_or(Ok(Start::Latest), Start::read)?;
        if let (Start::Ledger(first), Some(end)) = (start, config.end)
            && end < first
        {
            return refuse("end", "is before `start`: there would be no ledger");
        }
        if config.network.as_ref().is_some_and(|network| network.trim().is_empty()) {
            return refuse("network", "is empty: write `pubnet`, `testnet` or a passphrase, or leave it out");
        }
        let client = ClientSettings {
            connector: NAME,
            url: config.url,
            headers: config.headers.unwrap_or_default(),
            ca_file: config.ca_file,
            timeout,
        };
        let Config { end, network, .. } = config;
        Ok(Self { client, start, end, limit, network, poll_interval, give_up_after, max_answer_bytes })
    }
}

/// What is wrong with a configuration that has the right fields.
pub(crate) fn check(config: &serde_json::Value) -> Vec<ConnectorError> {
    let settings = config::read_value(NAME, config).and_then(Settings::read);
    settings.and_then(|settings| settings.client.check()).err().into_iter().collect()
}

/// What a source of this configuration touches.
pub(crate) fn reach(config: &serde_json::Value, base: BaseDir<'_>) -> Result<Reach, ConnectorError> {
    config::read_value(NAME, config).and_then(Settings::read)?.client.reach(base)
}

pub(crate) fn source(node: &Node, pipeline: &Pipeline) -> Result<Box<dyn Source>, ConnectorError> {
    let Settings { client, start, end, limit, network, poll_interval, give_up_after, max_answer_bytes } =
        Settings::read(config::read(NAME, node)?)?;
    let client = Client::new(client.at(pipeline))?;
    let trouble = Trouble::new(node.id.to_string(), client.shown().to_owned(), Patience::new(give_up_after));
    let server = Server::new(client, max_answer_bytes);
    let memo = Memo::new(start, node, pipeline);
    let plan = Plan { start, memo, end, limit, poll_interval, network };
    Ok(Box::new(StellarRpc::new(node, Fetcher::new(node.id.to_string(), server, trouble, plan), end)))
}
