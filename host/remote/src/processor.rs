//! A component in another process as a processor.
//!
//! Invariant: a stream is one batch. So what comes out belongs to that batch, and a
//! stream that breaks repeats it alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use flowctl_proto::v1;
use flowctl_runtime::{Fault, Outcome, Output, PrepareError, Processor, Rejection, Stage, State};
use flowctl_schema::Role;
use flowctl_topology::Node;
use flowctl_types::{Attributes, Batch, Columns, Description, NodeId};
use tokio_stream::StreamExt as _;

use crate::codec::{Assembled, Assembly, Codec, Decoded, Encoded, TransferStyle};
use crate::peer::{Calls, Peer};
use crate::{RemoteError, fault};

/// Most events that one batch may lead to.
const MAX_OUTPUT_EVENTS: usize = 1_000_000;
/// Most bytes that one batch may lead to.
const MAX_OUTPUT_BYTES: usize = 256 << 20;

/// Makes the processor that `peer` is, at `node`.
///
/// # Errors
///
/// [`RemoteError::Config`] where `peer` was made for another role, or a field of the
/// node's configuration cannot be used.
pub fn processor(node: &Node, peer: Arc<Peer>) -> Result<Arc<dyn Stage>, RemoteError> {
    crate::peer::require(&peer, Role::Processor)?;
    let style = TransferStyle::of(node)?;
    Ok(Arc::new(RemoteStage(Arc::new(Shared {
        node: node.id.clone(),
        inputs: Codec::new(&node.inputs, style),
        outputs: Codec::new(&node.outputs, style),
        peer,
    }))))
}

struct RemoteStage(Arc<Shared>);

struct Shared {
    node: NodeId,
    inputs: Codec,
    outputs: Codec,
    peer: Arc<Peer>,
}

#[async_trait]
impl Stage for RemoteStage {
    async fn instantiate(&self) -> Result<Box<dyn Processor>, PrepareError> {
        let fitting = self.0.peer.fitting();
        fitting.map_err(|error| PrepareError { node: self.0.node.to_string(), source: Box::new(error) })?;
        Ok(Box::new(RemoteProcessor(Arc::clone(&self.0))))
    }
}

/// One caller of the component. The component keeps what it keeps for itself.
struct RemoteProcessor(Arc<Shared>);

#[async_trait]
impl Processor for RemoteProcessor {
    async fn process(&mut self, batch: &Batch) -> Result<Outcome, Fault> {
        // the node fails when a new instance is asked for
        self.0.peer.healthy().await.map_err(|error| Fault::Fatal(error.to_string()))?;
        let Encoded { events, rejected } = self.0.inputs.encode(batch);
        let mut collected = Collected::new(batch, rejected);
        if !events.is_empty() {
            self.0.exchange(events, &mut collected).await?;
        }
        Ok(collected.finish())
    }

    async fn save(&mut self) -> Result<State, Fault> {
        Ok(State::new())
    }

    async fn restore(&mut self, _: &str, _: State) -> Result<(), Fault> {
        Ok(())
    }

    async fn tick(&mut self, _: u64) -> Result<Outcome, Fault> {
        Ok(Outcome::default())
    }

    async fn end(&mut self) -> Result<Outcome, Fault> {
        Ok(Outcome::default())
    }
}

impl Shared {
    /// Sends the events, and collects what they lead to.
    async fn exchange(&self, events: Vec<v1::Event>, collected: &mut Collected<'_>) -> Result<(), Fault> {
        let n_sent = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&n_sent);
        let requests = tokio_stream::iter(events).map(move |event| {
            counter.fetch_add(1, Ordering::Relaxed);
            event
        });
        let watchdog = Watchdog { n_sent, timeout: self.peer.settings().call_timeout };
        let failed = |status: tonic::Status| {
            if fault::is_broken(&status) {
                self.peer.suspect(&fault::describe(&status));
            }
            fault::of_call(&status)
        };
        let mut client = Calls::processor(self.peer.channel());
        let mut answers = watchdog.watch(client.process(requests)).await?.map_err(failed)?.into_inner();
        while let Some(event) = watchdog.watch(answers.message()).await?.map_err(failed)? {
            collected.take(&self.outputs, &event)?;
        }
        Ok(())
    }
}

/// Ends a call in which nothing happens any more.
struct Watchdog {
    n_sent: Arc<AtomicU64>,
    timeout: Duration,
}

impl Watchdog {
    async fn watch<T>(&self, answer: impl Future<Output = T>) -> Result<T, Fault> {
        tokio::pin!(answer);
        loop {
            let n_sent = self.n_sent.load(Ordering::Relaxed);
            match tokio::time::timeout(self.timeout, &mut answer).await {
                Ok(answer) => return Ok(answer),
                Err(_) if self.n_sent.load(Ordering::Relaxed) > n_sent => {}
                Err(_) => {
                    let seconds = self.timeout.as_secs_f64();
                    return Err(Fault::Retry(format!("the component neither read nor answered for {seconds} s")));
                }
            }
        }
    }
}

/// What a batch led to.
struct Collected<'a> {
    batch: &'a Batch,
    origins: Origins,
    assemblies: Vec<Assembly>,
    rejected: Vec<Rejection>,
    n_answers: usize,
}

impl<'a> Collected<'a> {
    fn new(batch: &'a Batch, rejected: Vec<Rejection>) -> Self {
        Self { batch, origins: Origins::of(batch), assemblies: Vec::new(), rejected, n_answers: 0 }
    }

    /// Takes over one event.
    fn take(&mut self, codec: &Codec, event: &v1::Event) -> Result<(), Fault> {
        self.n_answers += 1;
        let mut decoded = match codec.decode(event) {
            Ok(decoded) => decoded,
            Err(reason) => return self.blame(event, &reason),
        };
        let origin = self.origins.find(&event.id, decoded.description.cursor);
        self.complete(&mut decoded, origin);
        let index = self.assemblies.iter().position(|assembly| assembly.takes(&decoded)).unwrap_or_else(|| {
            self.assemblies.push(Assembly::of(&decoded));
            self.assemblies.len() - 1
        });
        self.assemblies[index].push(decoded, origin);
        let n_events: usize = self.assemblies.iter().map(Assembly::n_events).sum();
        let n_bytes: usize = self.assemblies.iter().map(Assembly::n_bytes).sum();
        if n_events.max(self.n_answers) > MAX_OUTPUT_EVENTS || n_bytes > MAX_OUTPUT_BYTES {
            return Err(Fault::Fatal(format!(
                "a batch led to {n_events} events and {n_bytes} bytes, the limits are {MAX_OUTPUT_EVENTS} and {MAX_OUTPUT_BYTES}"
            )));
        }
        Ok(())
    }

    /// Refuses the event that led to one which cannot be read. Where that is not known, the
    /// batch is taken apart.
    fn blame(&mut self, event: &v1::Event, reason: &str) -> Result<(), Fault> {
        let id: String = event.id.chars().take(100).collect();
        let reason = format!("the component made an event `{id}` of it that cannot be read: {reason}");
        let Some(index) = self.origins.find(&event.id, crate::codec::cursor(event)) else {
            return Err(Fault::Fatal(reason));
        };
        if !self.rejected.iter().any(|rejection| rejection.index == index) {
            self.rejected.push(Rejection { index, reason });
        }
        Ok(())
    }

    /// Fills in what the component left out from the event's origin.
    fn complete(&self, decoded: &mut Decoded, origin: Option<u32>) {
        let Description { id, metadata, cursor, .. } = &mut decoded.description;
        if id.is_empty() {
            *id = match origin {
                Some(origin) => format!("{}>{}", self.batch.ids.get(origin as usize), self.n_answers),
                None => format!("{}+{}", self.batch.ids.get(0), self.n_answers),
            };
        }
        let Some(origin) = origin else { return };
        if let Some(said) = self.batch.ids.description(origin as usize) {
            if metadata.is_empty() {
                metadata.clone_from(&said.metadata);
            }
            *cursor = cursor.or(said.cursor);
        }
        let time = self.batch.columns.timestamps[origin as usize];
        for timestamp in decoded.columns.timestamps.iter_mut().filter(|timestamp| **timestamp == 0) {
            *timestamp = time;
        }
    }

    fn finish(self) -> Outcome {
        let Self { batch, assemblies, rejected, .. } = self;
        let mut outputs: Vec<_> = assemblies
            .into_iter()
            .map(Assembly::finish)
            .filter(|assembled| !assembled.columns.is_empty())
            .map(|assembled| output(assembled, batch))
            .collect();
        if outputs.is_empty() && batch.watermark.is_some() {
            outputs.push(Output {
                columns: Columns::default(),
                origins: Vec::new(),
                ids: None,
                watermark: batch.watermark,
                attributes: Arc::clone(&batch.attributes),
            });
        }
        Outcome { outputs, rejected }
    }
}

fn output(assembled: Assembled, batch: &Batch) -> Output {
    let Assembled { columns, ids, network, origins } = assembled;
    let attributes: Attributes = match network {
        None => Arc::clone(&batch.attributes),
        Some(network) => {
            let others = batch.attributes.iter().filter(|(name, _)| name != "network").cloned();
            others.chain([("network".to_owned(), network)]).collect()
        }
    };
    Output { columns, origins, ids: Some(ids), watermark: batch.watermark, attributes }
}

/// Finds the event that another came from. A component does not say so: it is the one
/// with the same id, the only one with the same cursor or of the same ledger, or the only
/// one there is.
struct Origins {
    only: Option<u32>,
    by_id: HashMap<String, u32>,
    /// None where several have the same.
    by_cursor: HashMap<(u64, u32), Option<u32>>,
    by_ledger: HashMap<u64, Option<u32>>,
}

impl Origins {
    fn of(batch: &Batch) -> Self {
        let mut origins = Self {
            only: (batch.len() == 1).then_some(0),
            by_id: HashMap::new(),
            by_cursor: HashMap::new(),
            by_ledger: HashMap::new(),
        };
        if origins.only.is_some() {
            return origins;
        }
        for (index, place) in (0u32..).zip(0..batch.len()) {
            origins.by_id.insert(batch.ids.get(place), index);
            let Some(cursor) = batch.ids.description(place).and_then(|said| said.cursor) else { continue };
            origins.by_cursor.entry(cursor).and_modify(|known| *known = None).or_insert(Some(index));
            origins.by_ledger.entry(cursor.0).and_modify(|known| *known = None).or_insert(Some(index));
        }
        origins
    }

    fn find(&self, id: &str, cursor: Option<(u64, u32)>) -> Option<u32> {
        let by_cursor = |cursor| self.by_cursor.get(&cursor).copied().flatten();
        let by_ledger = |(ledger, _)| self.by_ledger.get(&ledger).copied().flatten();
        self.only
            .or_else(|| self.by_id.get(id).copied())
            .or_else(|| cursor.and_then(|cursor| by_cursor(cursor).or_else(|| by_ledger(cursor))))
    }
}
