//! Puts dead letters back in: runs the pipeline with its letters in place of its sources.
//!
//! Every letter's event goes to the node that refused it, or, where a source could not
//! read it, to whatever that source feeds. Sources stand still: they are not opened, and
//! keep their positions. Invariant: a letter is removed from its file only after the
//! sinks took its event, and letters that came meanwhile stay.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use async_trait::async_trait;
use flowctl_runtime::{
    Bounds, Checkpoint, CheckpointStore, DeadLetterSink, Fault, Options, Piece, PrepareError, Refused, Sink, Source,
    Stage, Status, StoreError, Summary, Workshop,
};
use flowctl_schema::{Conversion, Role, Schema};
use flowctl_store::{Checkpoints, PipelineState};
use flowctl_topology::{Component, Edge, Node, Route, Topology};
use flowctl_types::{Batch, Columns, Ids, NodeId};
use tokio::sync::watch;

use super::letters::{Letter, Letters, Payload, Selection};
use crate::pipeline::Planned;
use crate::session::LocalWorkshop;
use crate::session::{self, Voice};
use crate::state;

/// The node that emits letters' events, where no node of the pipeline has this name.
const NODE: &str = "dead-letters";

/// What came of it.
pub(crate) struct Replayed {
    pub(crate) summary: Summary,
    /// Letters that cannot be put back: why, and how many.
    pub(crate) stuck: BTreeMap<String, u64>,
}

/// Puts the letters in `file` that `selection` holds back into the pipeline; none where
/// there are none.
pub(crate) fn run(
    planned: &Planned,
    state: &PipelineState,
    file: &Path,
    selection: &Selection,
    voice: Voice,
) -> Result<Option<Replayed>> {
    let Some(ways) = Ways::find(&planned.topology, file, selection)? else { return Ok(None) };
    let ways = Arc::new(ways);
    let topology = ways.topology(&planned.topology);
    let engine = Arc::new(LocalWorkshop::start(state::pipeline(&planned.document.name, state)?)?);
    let finished = watch::channel(false).0;
    let progress = Arc::new(Progress { finished: finished.clone(), ..Progress::default() });
    let store = state.checkpoints(topology.settings.checkpoints_kept);
    let workshop = ReplayWorkshop {
        engine: Arc::clone(&engine),
        ways: Arc::clone(&ways),
        file: file.to_owned(),
        selection: selection.clone(),
        progress: Arc::clone(&progress),
    };
    let options = Options { store: Arc::new(WithoutLetters { store, node: ways.node.clone() }), ..Options::default() };
    let mut is_finished = finished.subscribe();
    let done = async move {
        // the sender lives as long as this command
        let _ = is_finished.wait_for(|is_finished| *is_finished).await;
    };
    let end = fs::metadata(file).map(|metadata| metadata.len()).unwrap_or(0);
    let summary = session::run(&topology, (Arc::new(workshop), &engine), options, voice, done)?;
    let has_all = *finished.borrow();
    if summary.status != Status::Failed && has_all {
        remove(file, end, selection, &ways)?;
    } else {
        voice.say("all letters stay: not every event was taken");
    }
    let stuck = progress.stuck.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Some(Replayed { summary, stuck }))
}

/// Where letters go.
struct Ways {
    node: NodeId,
    /// For each node and type that letters say, the kind that their events are emitted as.
    kinds: BTreeMap<(NodeId, String), usize>,
    outputs: Vec<Schema>,
    edges: Vec<Edge>,
}

impl Ways {
    /// Finds the ways of all letters that are meant; none where there is no letter.
    fn find(topology: &Topology, file: &Path, selection: &Selection) -> Result<Option<Self>> {
        let Some(mut letters) = Letters::open(file, 0)? else { return Ok(None) };
        let mut wanted = BTreeSet::new();
        while let Some((letter, _)) = letters.next()? {
            if selection.holds(&letter) {
                wanted.insert(key(&letter));
            }
        }
        if wanted.is_empty() {
            return Ok(None);
        }
        let is_free = |name: &str| !topology.nodes.iter().any(|node| node.id.as_str() == name);
        let node =
            std::iter::once(NODE.to_owned()).chain((1..).map(|n| format!("{NODE}-{n}"))).find(|name| is_free(name));
        let node = node.and_then(|name| name.parse().ok()).context("there is no name for the letters' node")?;
        let mut ways = Self { node, kinds: BTreeMap::new(), outputs: Vec::new(), edges: Vec::new() };
        for (refuser, event_type) in wanted {
            ways.add(topology, refuser, event_type);
        }
        Ok(Some(ways))
    }

    fn add(&mut self, topology: &Topology, refuser: NodeId, event_type: String) {
        let Some(node) = topology.node(&refuser) else { return };
        let is_source = node.role == Role::Source;
        let schemas = if is_source { &node.outputs } else { &node.inputs };
        let of_type = schemas.iter().position(|schema| schema.event_type().as_str() == event_type);
        // what could not be read has no type; where only one is possible it is of that
        let Some(index) = of_type.or((event_type.is_empty() && schemas.len() == 1).then_some(0)) else { return };
        let output_kind = u32::try_from(self.outputs.len()).unwrap_or(u32::MAX);
        let index_kind = u32::try_from(index).unwrap_or(u32::MAX);
        if is_source {
            let leaving = topology.edges.iter().filter(|edge| edge.from == refuser);
            let routes = leaving.flat_map(|edge| {
                let routes = edge.routes.iter().filter(|route| route.output_kind == index_kind);
                routes.map(|route| (edge.to.clone(), Route { output_kind, ..route.clone() }))
            });
            for (to, route) in routes.collect::<Vec<_>>() {
                self.route(to, route);
            }
        } else {
            let route = Route { output_kind, input_kind: index_kind, conversion: Conversion::Same };
            self.route(refuser.clone(), route);
        }
        self.outputs.push(schemas[index].clone());
        self.kinds.insert((refuser, event_type), output_kind as usize);
    }

    fn route(&mut self, to: NodeId, route: Route) {
        match self.edges.iter_mut().find(|edge| edge.to == to) {
            Some(edge) => edge.routes.push(route),
            None => self.edges.push(Edge { from: self.node.clone(), to, routes: vec![route] }),
        }
    }

    /// The pipeline's topology with the letters' node before its other nodes.
    fn topology(&self, topology: &Topology) -> Topology {
        let mut topology = topology.clone();
        let Some(model) = topology.nodes.iter().find(|node| node.role == Role::Source) else { return topology };
        let node = Node {
            id: self.node.clone(),
            component: Component::Connector { name: NODE.to_owned() },
            outputs: self.outputs.clone(),
            config: serde_json::json!({}),
            shown_config: serde_json::json!({}),
            ..model.clone()
        };
        topology.nodes.insert(0, node);
        topology.edges.extend(self.edges.iter().cloned());
        topology
    }

    /// The kind and the payload that a letter's event is emitted as.
    fn event(&self, letter: &Letter) -> Result<(usize, Vec<u8>), String> {
        let kind = self.kinds.get(&key(letter)).ok_or_else(|| {
            let event_type = letter.event_type.as_deref().unwrap_or("unknown type");
            format!("node `{}` is not there or takes no `{event_type}`", letter.node)
        })?;
        let mut payload = Vec::new();
        let json = match letter.payload()? {
            Payload::Json(json) => json.to_vec(),
            Payload::Raw(bytes) => bytes,
        };
        self.outputs[*kind].json_to_payload(&json, &mut payload).map_err(|error| error.to_string())?;
        Ok((*kind, payload))
    }
}

fn key(letter: &Letter) -> (NodeId, String) {
    (letter.node.clone(), letter.event_type.clone().unwrap_or_default())
}

/// Rewrites the letters' file without those that were put back; what is behind `end` came
/// meanwhile.
fn remove(file: &Path, end: u64, selection: &Selection, ways: &Ways) -> Result<()> {
    let what = || format!("cannot rewrite the dead letters in `{}`: their events were taken", file.display());
    let rest = file.with_extension("rest");
    let mut writer = BufWriter::new(File::create(&rest).with_context(what)?);
    if let Some(mut letters) = Letters::open(file, 0)? {
        loop {
            let is_old = letters.offset() < end;
            let Some((letter, line)) = letters.next()? else { break };
            if !(is_old && selection.holds(&letter) && ways.event(&letter).is_ok()) {
                writer.write_all(line.as_bytes()).with_context(what)?;
            }
        }
    }
    let written = writer.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(what)?;
    written.sync_all().with_context(what)?;
    fs::rename(&rest, file).with_context(what)
}

/// How far the letters' source is.
#[derive(Default)]
struct Progress {
    finished: watch::Sender<bool>,
    stuck: Mutex<BTreeMap<String, u64>>,
}

/// Emits the events of letters.
struct LetterSource {
    letters: Option<Letters>,
    ways: Arc<Ways>,
    file: PathBuf,
    selection: Selection,
    progress: Arc<Progress>,
}

#[async_trait]
impl Source for LetterSource {
    async fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        let offset = position.map(number).transpose()?.unwrap_or(0);
        self.letters = Letters::open(&self.file, offset).map_err(|error| Fault::Fatal(format!("{error:#}")))?;
        Ok(())
    }

    async fn next(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        let until = bounds.until.as_deref().map(number).transpose()?;
        let (mut columns, mut names, mut kind, mut is_over) = (Columns::default(), Vec::new(), None, false);
        let Some(letters) = &mut self.letters else { return std::future::pending().await };
        let mut offset = letters.offset();
        while columns.len() < bounds.max_events && columns.n_bytes() < bounds.max_bytes && until != Some(offset) {
            let Some((letter, _)) = letters.next().map_err(|error| Fault::Fatal(format!("{error:#}")))? else {
                is_over = true;
                break;
            };
            if self.selection.holds(&letter) {
                match self.ways.event(&letter) {
                    Ok((of_kind, payload)) => {
                        columns.push(0, &payload);
                        names.push(letter.event_id);
                        kind = Some(of_kind);
                    }
                    Err(reason) => {
                        let mut stuck = self.progress.stuck.lock().unwrap_or_else(PoisonError::into_inner);
                        *stuck.entry(reason).or_default() += 1;
                    }
                }
            }
            offset = letters.offset();
            if kind.is_some() {
                // of one kind, as a batch is: the next may be of another
                break;
            }
        }
        if is_over && columns.is_empty() {
            // tells the run to drain; it never ends for good, for the pipeline goes on
            self.progress.finished.send_replace(true);
            return std::future::pending().await;
        }
        columns.kind = u32::try_from(kind.unwrap_or(0)).unwrap_or(u32::MAX);
        let batch = (!columns.is_empty()).then(|| Batch::new(columns, Ids::named(names)));
        let position = offset.to_string().into_bytes();
        Ok(Piece { batch, rejected: Vec::<Refused>::new(), position, is_finished: false })
    }
}

fn number(position: &[u8]) -> Result<u64, Fault> {
    let text = std::str::from_utf8(position).ok().and_then(|text| text.parse().ok());
    text.ok_or_else(|| Fault::Fatal("the position among the dead letters cannot be read".to_owned()))
}

/// A source of the pipeline that stands still.
struct Parked;

#[async_trait]
impl Source for Parked {
    async fn open(&mut self, _: Option<&[u8]>) -> Result<(), Fault> {
        Ok(())
    }

    async fn next(&mut self, _: &Bounds) -> Result<Piece, Fault> {
        std::future::pending().await
    }
}

/// Makes the pipeline's nodes, its sources aside.
struct ReplayWorkshop {
    engine: Arc<LocalWorkshop>,
    ways: Arc<Ways>,
    file: PathBuf,
    selection: Selection,
    progress: Arc<Progress>,
}

#[async_trait]
impl Workshop for ReplayWorkshop {
    async fn source(&self, node: &Node) -> Result<Box<dyn Source>, PrepareError> {
        if node.id != self.ways.node {
            return Ok(Box::new(Parked));
        }
        Ok(Box::new(LetterSource {
            letters: None,
            ways: Arc::clone(&self.ways),
            file: self.file.clone(),
            selection: self.selection.clone(),
            progress: Arc::clone(&self.progress),
        }))
    }

    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError> {
        self.engine.processor(node).await
    }

    async fn sink(&self, node: &Node) -> Result<Box<dyn Sink>, PrepareError> {
        self.engine.sink(node).await
    }

    async fn dead_letters(&self, node: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError> {
        self.engine.dead_letters(node).await
    }
}

/// Checkpoints that know nothing of the letters' node, which the pipeline does not have.
struct WithoutLetters {
    store: Checkpoints,
    node: NodeId,
}

#[async_trait]
impl CheckpointStore for WithoutLetters {
    async fn put_pending(&self, mut checkpoint: Checkpoint) -> Result<(), StoreError> {
        checkpoint.positions.remove(&self.node);
        self.store.put_pending(checkpoint).await
    }

    async fn commit(&self, epoch: u64) -> Result<(), StoreError> {
        self.store.commit(epoch).await
    }

    async fn committed(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.store.committed().await
    }

    async fn pending(&self) -> Result<Option<Checkpoint>, StoreError> {
        self.store.pending().await
    }
}
