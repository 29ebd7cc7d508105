//! Sink `http`: events in requests by POST, as lines of JSON (see [`Lines`]) or in one
//! array.
//!
//! At least once: a request that broke is sent again, and so are the events behind the
//! last barrier when the run goes back. A repeated request has the `Idempotency-Key` it
//! had, by which a server can tell. Requests go one after the other, in the order of the
//! events; `write` waits for all answers, so that at a barrier none is under way.
//!
//! What a server refuses is split until the event is found that it does not take, and
//! that one is rejected with the server's words. A server that cannot be reached or is
//! busy is asked again until `give_up_after`; then the call fails, the node's own
//! attempts follow, and what was taken is not sent again by these.

mod poster;
mod requests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowctl_runtime::{Fault, Rejection, Sink};
use flowctl_topology::Node;
use flowctl_types::Batch;
use serde::Deserialize;

use self::poster::{Poster, Verdict};
use self::requests::{Format, Key, Limits, Requests, Sender};
use crate::base_dir::BaseDir;
use crate::http_client::{Client, ClientSettings, Header};
use crate::lines::Lines;
use crate::reach::Reach;
use crate::{ConnectorError, Pipeline, config};

pub(crate) const NAME: &str = "http";

/// The configuration, as WIT; [`Config`] is what it is read into.
pub(crate) const CONFIG: &str = "
/// Where events go. A server may see an event more than once: a repeated request has the
/// same header `Idempotency-Key`.
record config {
    /// Where to post events, such as `https://example.org/events`. Its user and password
    /// are sent as basic authorisation.
    url: string,
    /// How a request holds events. Default: `ndjson`.
    format: option<format>,
    /// Most events in one request, 1 to 100000. Default: 1000.
    max-events: option<u32>,
    /// Largest body of a request, 1KiB to 256MiB; a larger event goes alone. Default:
    /// `1MiB`.
    max-bytes: option<string>,
    /// Longest time from a request to the end of its answer, 10ms to 10m. Default:
    /// `30s`.
    timeout: option<string>,
    /// How long a request is repeated that the server cannot take, 0 to 24h; then the
    /// node's own attempts follow. Default: `1m`.
    give-up-after: option<string>,
    /// Headers that go with every request, such as a token.
    headers: option<list<header>>,
    /// A file of certificates (PEM) to trust beside those of the system.
    ca-file: option<string>,
}

/// How a request holds events.
enum format {
    /// One event a line, as `application/x-ndjson`.
    ndjson,
    /// One array of events, as `application/json`.
    json,
}

/// A header of HTTP.
record header {
    /// Its name, such as `Authorization`.
    name: string,
    /// Its value. It is never shown.
    value: string,
}
";

/// Largest `max_events`.
const MAX_EVENTS: u32 = 100_000;

/// Without `Debug`: URL and headers hold secrets.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: String,
    format: Option<Format>,
    max_events: Option<u32>,
    max_bytes: Option<String>,
    timeout: Option<String>,
    give_up_after: Option<String>,
    headers: Option<Vec<Header>>,
    ca_file: Option<PathBuf>,
}

/// The configuration, checked and with its defaults.
struct Settings {
    client: ClientSettings,
    limits: Limits,
    format: Format,
    give_up_after: Duration,
}

impl Settings {
    fn read(config: Config) -> Result<Self, ConnectorError> {
        const MS: Duration = Duration::from_millis(1);
        const HOUR: Duration = Duration::from_secs(3_600);
        let duration = |field, written: &Option<String>, default, first, last| {
            config::duration(NAME, field, written.as_deref(), default, first..=last)
        };
        let timeout = duration("timeout", &config.timeout, 30_000 * MS, 10 * MS, HOUR / 6)?;
        let give_up_after = duration("give_up_after", &config.give_up_after, HOUR / 60, Duration::ZERO, 24 * HOUR)?;
        let max_bytes = config::size(NAME, "max_bytes", config.max_bytes.as_deref(), 1 << 20, 1 << 10..=256 << 20)?;
        let max_events = config.max_events.unwrap_or(1_000);
        if !(1..=MAX_EVENTS).contains(&max_events) {
            return Err(ConnectorError::field(NAME, "max_events", "must be 1 to 100000: events in one request"));
        }
        let client = ClientSettings {
            connector: NAME,
            url: config.url,
            headers: config.headers.unwrap_or_default(),
            ca_file: config.ca_file,
            timeout,
        };
        let limits = Limits { max_events: max_events as usize, max_bytes };
        Ok(Self { client, limits, format: config.format.unwrap_or_default(), give_up_after })
    }
}

/// What is wrong with a configuration that has the right fields.
pub(crate) fn check(config: &serde_json::Value) -> Vec<ConnectorError> {
    let settings = config::read_value(NAME, config).and_then(Settings::read);
    settings.and_then(|settings| settings.client.check()).err().into_iter().collect()
}

/// What a sink of this configuration touches.
pub(crate) fn reach(config: &serde_json::Value, base: BaseDir<'_>) -> Result<Reach, ConnectorError> {
    config::read_value(NAME, config).and_then(Settings::read)?.client.reach(base)
}

pub(crate) fn sink(node: &Node, pipeline: &Pipeline) -> Result<Box<dyn Sink>, ConnectorError> {
    let Settings { client, limits, format, give_up_after } = Settings::read(config::read(NAME, node)?)?;
    Ok(Box::new(HttpSink {
        lines: Lines::new(&node.inputs),
        limits,
        sender: Sender::new(format, node, pipeline),
        poster: Poster::new(node.id.to_string(), Client::new(client.at(pipeline))?, give_up_after),
        answered: HashMap::new(),
    }))
}

struct HttpSink {
    lines: Lines,
    limits: Limits,
    sender: Sender,
    poster: Poster,
    /// Requests of a `write` that failed, and what the server answered to them.
    answered: HashMap<Key, Verdict>,
}

#[async_trait]
impl Sink for HttpSink {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        let (requests, mut rejected) = Requests::of(batch, &self.lines)?;
        // the next one last
        let mut parts = requests.parts(self.limits);
        parts.reverse();
        while let Some(part) = parts.pop() {
            let request = self.sender.request(&requests, &part, batch);
            let verdict = match self.answered.get(&request.key) {
                Some(verdict) => verdict.clone(),
                None => {
                    let key = request.key.clone();
                    let verdict = self.poster.post(request).await?;
                    self.answered.insert(key, verdict.clone());
                    verdict
                }
            };
            match verdict {
                Verdict::Taken => {}
                Verdict::Refused(_) if part.len() > 1 => {
                    let middle = part.start + part.len() / 2;
                    parts.extend([middle..part.end, part.start..middle]);
                }
                Verdict::Refused(reason) => {
                    rejected.push(Rejection { index: requests.index(part.start), reason });
                }
            }
        }
        self.answered.clear();
        rejected.sort_by_key(|rejection| rejection.index);
        Ok(rejected)
    }

    /// Every request was answered before `write` returned.
    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }

    async fn rewind(&mut self) -> Result<Option<u64>, Fault> {
        self.answered.clear();
        Ok(None)
    }
}
