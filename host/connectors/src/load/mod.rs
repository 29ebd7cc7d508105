//! Source `generate`: synthetic events of any type, the same for a seed.
//!
//! An event depends on the seed, the type and its number only, so a position is a
//! number and reading on from it costs nothing. An event's id is `NODE/NUMBER`,
//! numbers counted from 0; its time is when it was made, which is for measuring and the
//! one thing that is not the same the next time.

mod values;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use flowctl_runtime::{Bounds, Fault, Piece, Source};
use flowctl_schema::Schema;
use flowctl_topology::Node;
use flowctl_types::{Batch, Columns, Ids};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

use self::values::Values;
use crate::random::Random;
use crate::{ConnectorError, config, json_lines};

pub(crate) const NAME: &str = "generate";

/// The configuration, as WIT; [`Config`] is what it is read into.
pub(crate) const CONFIG: &str = "
/// Which events to make, and how many.
record config {
    /// The type of the events, such as `example.order.v1`.
    %type: string,
    /// How many to make. Default: without end.
    count: option<u64>,
    /// How many to make a second. Default: as fast as they are taken.
    rate: option<f64>,
    /// What the events depend on; the same seed gives the same events. Default: 1.
    seed: option<u64>,
    /// Bytes that an event shall have, about: texts and lists are made as long as that
    /// needs. Default: 256.
    size: option<u32>,
}
";

/// Shortest time between two batches when there is a rate.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// Largest `size`.
const MAX_SIZE_BYTES: u32 = 16 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    r#type: String,
    count: Option<u64>,
    rate: Option<f64>,
    seed: Option<u64>,
    size: Option<u32>,
}

pub(crate) fn source(node: &Node) -> Result<Box<dyn Source>, ConnectorError> {
    let config: Config = config::read(NAME, node)?;
    if let Some(fault) = faults(&config).into_iter().next() {
        return Err(fault);
    }
    let Config { r#type, count, rate, seed, size } = config;
    let schema = json_lines::emitted(NAME, node, &r#type)?;
    let size = size.unwrap_or(256);
    Ok(Box::new(Load {
        node: node.id.as_str().into(),
        values: Values::new(&schema, size as usize),
        schema,
        seed: seed.unwrap_or(1),
        count: count.unwrap_or(u64::MAX),
        pace: rate.map(|rate| Pace { rate, since: None }),
        n_made: 0,
    }))
}

/// What is wrong with a configuration that has the right fields.
pub(crate) fn check(config: &serde_json::Value) -> Vec<ConnectorError> {
    config::read_value(NAME, config).map_or_else(|error| vec![error], |config| faults(&config))
}

fn faults(config: &Config) -> Vec<ConnectorError> {
    let mut faults = Vec::new();
    if config.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        faults.push(ConnectorError::field(NAME, "rate", "must be above 0: events a second"));
    }
    if config.size.is_some_and(|size| size > MAX_SIZE_BYTES) {
        faults.push(ConnectorError::field(NAME, "size", format!("must be at most {MAX_SIZE_BYTES} bytes")));
    }
    faults
}

struct Load {
    /// Its node, which its ids start with.
    node: Arc<str>,
    schema: Schema,
    values: Values,
    seed: u64,
    /// Number of events to make.
    count: u64,
    pace: Option<Pace>,
    /// Number of events made.
    n_made: u64,
}

/// How fast events may be made.
struct Pace {
    /// Events a second.
    rate: f64,
    /// When counting started, and the number made then.
    since: Option<(Instant, u64)>,
}

impl Pace {
    /// How many events are due behind `n_made`, and when the next is where none is.
    fn due(&mut self, now: Instant, n_made: u64) -> Result<u64, Instant> {
        let (start, n_at_start) = *self.since.get_or_insert((now, n_made));
        let n_due = (now - start).as_secs_f64() * self.rate;
        let n_since = n_made - n_at_start;
        // casts saturate
        match (n_due as u64 + 1).saturating_sub(n_since) {
            0 => {
                let wait = (n_since as f64 / self.rate) - (now - start).as_secs_f64();
                let wait = Duration::try_from_secs_f64(wait).unwrap_or(Duration::from_secs(3600));
                Err(now + wait.max(SHORTEST_WAIT))
            }
            n_events => Ok(n_events),
        }
    }
}

impl Load {
    /// Makes what is due of the events before number `last`.
    fn make(&self, bounds: &Bounds, n_due: u64, last: u64) -> Columns {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let most = n_due.min(last.saturating_sub(self.n_made)).min(bounds.max_events as u64);
        let mut columns = Columns::default();
        for number in self.n_made..self.n_made + most {
            let start = columns.data.len();
            // two seeds that are close shall not share events
            let mut random = Random::new(Random::new(self.seed).next() ^ number);
            self.values.write(&mut random, number, &mut columns.data);
            if start > 0 && columns.data.len() > bounds.max_bytes {
                columns.data.truncate(start);
                break;
            }
            columns.finish_event(now);
        }
        columns
    }
}

fn number(position: &[u8]) -> Result<u64, Fault> {
    serde_json::from_slice(position)
        .map_err(|error| Fault::Fatal(format!("`generate` cannot read its stored position: {error}")))
}

#[async_trait]
impl Source for Load {
    async fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        let Some(position) = position else { return Ok(()) };
        // a lower `count` than at the last start: there is nothing left to make
        self.n_made = number(position)?.min(self.count);
        Ok(())
    }

    async fn next(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        let mut n_due = u64::MAX;
        let last = bounds.until.as_deref().map(number).transpose()?.unwrap_or(self.count).min(self.count);
        while let Some(pace) = &mut self.pace {
            if self.n_made >= last {
                break;
            }
            match pace.due(Instant::now(), self.n_made) {
                Ok(n_events) => {
                    n_due = n_events;
                    break;
                }
                Err(time) => sleep_until(time).await,
            }
        }
        let columns = self.make(bounds, n_due, last);
        let first = self.n_made;
        self.n_made += columns.len() as u64;
        let position = serde_json::to_vec(&self.n_made).expect("a number is JSON");
        let batch = (!columns.is_empty()).then(|| Batch::new(columns, Ids::numbered(Arc::clone(&self.node), first)));
        debug_assert!(batch.is_some() || self.n_made == last, "`{}` ended early", self.schema.event_type());
        let is_finished = self.n_made == self.count && bounds.until.is_none();
        Ok(Piece { batch, rejected: Vec::new(), position, is_finished })
    }
}
