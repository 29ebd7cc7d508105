//! A planner whose pipeline files are words: `name=a events=10 prepare=hang sink=closed`.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use flowctl_control_plane::Redaction;
use flowctl_control_plane::controller::{
    CatalogueEntry, Edit, Edited, FileFault, Guard, PlanFailure, PlanFailureKind, PlanRequest, Planned, Planner,
    PrepareRequest, Prepared, Variables,
};
use flowctl_control_plane::tenants::{Policy, PolicyRequest, Tenant, Touch, Use};
use flowctl_runtime::{
    Bounds, DeadLetter, DeadLetterSink, Fault, Options, Piece, PrepareError, Rejection, Sink, Source, Stage, Workshop,
};
use flowctl_schema::{Conversion, Role, Schema};
use flowctl_topology::{CallLimits, Component, Edge, Grants, Node, Route, Settings, Topology, render};
use flowctl_types::{Batch, Code, Columns, Ids};

/// Plans and prepares what its files say, and counts.
#[derive(Default)]
pub(crate) struct FakePlanner {
    /// Plans that are made ready now: each is counted out when its guard is dropped.
    pub(crate) n_held: Arc<AtomicUsize>,
    /// Requests that were planned.
    pub(crate) planned: Mutex<Vec<PlanRequest>>,
    pub(crate) wedge: Arc<Wedge>,
}

/// Keeps sinks that are `stuck` from giving back their task.
#[derive(Default)]
pub(crate) struct Wedge {
    is_loose: Mutex<bool>,
    changed: Condvar,
    n_stuck: AtomicUsize,
}

impl Wedge {
    fn hold(&self) {
        self.n_stuck.fetch_add(1, Ordering::SeqCst);
        drop(self.changed.wait_while(self.is_loose.lock().unwrap(), |is_loose| !*is_loose).unwrap());
    }

    /// Whether a sink is stuck.
    pub(crate) fn holds(&self) -> bool {
        self.n_stuck.load(Ordering::SeqCst) > 0
    }

    pub(crate) fn loosen(&self) {
        *self.is_loose.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

/// What a file says.
#[derive(Clone)]
struct Words(BTreeMap<String, String>);

impl Words {
    fn read(text: &str) -> Self {
        let pair = |word: &str| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self(text.split_whitespace().filter_map(pair).collect())
    }

    fn get(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }
}

#[async_trait]
impl Planner for FakePlanner {
    async fn plan(&self, request: &PlanRequest) -> Result<Planned, PlanFailure> {
        self.planned.lock().unwrap().push(request.clone());
        let words = Words::read(&request.file.text);
        let Ok(name) = words.get("name").parse() else {
            let fault = FileFault { place: "a.yaml:1:1".to_owned(), message: "`name` is missing".to_owned() };
            let mut failure = PlanFailure::new(PlanFailureKind::Invalid, "the pipeline has 1 fault");
            failure.hint = Some("give it a name".to_owned());
            failure.faults = vec![fault];
            return Err(failure);
        };
        if words.get("plan") == "panic" {
            panic!("the planner broke");
        }
        let variable = words.get("variable");
        let is_known = match &request.file.variables {
            Variables::Given(given) => given.contains_key(variable),
            Variables::Host => false,
        };
        if !variable.is_empty() && !is_known {
            let message = format!("variable `{variable}` is not set");
            return Err(PlanFailure::new(PlanFailureKind::Missing, message));
        }
        let wanted = words.get("component");
        if !wanted.is_empty() && !request.live.iter().any(|live| live.id == wanted && live.status == "healthy") {
            return Err(PlanFailure::new(PlanFailureKind::Missing, format!("no component `{wanted}`")));
        }
        let used = Use { node: "out".to_owned(), what: Touch::Connector("memory".to_owned()) };
        if let Some(violation) = request.policy.check(&PolicyRequest { uses: vec![used] }).first() {
            return Err(PlanFailure::new(PlanFailureKind::Denied, violation.to_string()));
        }
        let parallelism = words.get("parallelism").parse().unwrap_or(1);
        let mut topology = Topology::empty(name);
        topology.settings =
            Settings { linger: Duration::ZERO, checkpoint_interval: Duration::from_millis(20), ..Settings::default() };
        topology.nodes = vec![node(Role::Source, "in", &topology, 1), node(Role::Sink, "out", &topology, parallelism)];
        topology.nodes[1].config = serde_json::json!({ "sink": words.get("sink") });
        let route = Route { output_kind: 0, input_kind: 0, conversion: Conversion::Same };
        topology.edges = vec![Edge { from: "in".parse().unwrap(), to: "out".parse().unwrap(), routes: vec![route] }];
        Ok(Planned {
            chain: render::line(&topology),
            topology,
            lock: "lock: 1\n".to_owned(),
            warnings: vec!["the sink remembers nothing".to_owned()],
            origins: BTreeMap::from([("in".to_owned(), "built-in".to_owned())]),
            redaction: Redaction::new([("SECRET".to_owned(), words.get("secret").to_owned())]),
            carried: Arc::new(words),
        })
    }

    /// A configuration sets words of the file; any other edit is one of them too.
    async fn edit(&self, request: &PlanRequest, _: &Topology, edit: &Edit) -> Result<Edited, PlanFailure> {
        let mut request = request.clone();
        let words = match edit {
            Edit::Configure { values, .. } => {
                values.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect()
            }
            Edit::Remove { node } => vec![format!("removed={node}")],
            Edit::Add { component, .. } | Edit::Replace { component, .. } => vec![format!("component={component}")],
        };
        // the last of a word holds
        request.file.text = format!("{} {}", request.file.text, words.join(" "));
        let planned = self.plan(&request).await?;
        Ok(Edited { text: request.file.text, planned })
    }

    async fn prepare(&self, request: &PrepareRequest) -> Result<Prepared, PlanFailure> {
        let words = request.planned.carried.downcast_ref::<Words>().unwrap().clone();
        self.n_held.fetch_add(1, Ordering::SeqCst);
        let guard: Box<dyn Guard> = Box::new(Held(Arc::clone(&self.n_held)));
        tracing::info!(node = "in", "preparing");
        match words.get("prepare") {
            "fail" => {
                let mut failure = PlanFailure::new(PlanFailureKind::Unavailable, "the state is held by process 7");
                failure.hint = Some("stop that process first".to_owned());
                return Err(failure);
            }
            "hang" => std::future::pending::<()>().await,
            "panic" => panic!("the planner broke"),
            _ => {}
        }
        Ok(Prepared {
            workshop: Arc::new(FakeWorkshop(words, Arc::clone(&self.wedge))),
            options: Options::default(),
            dead_letters: "/var/lib/flowctl/dead-letters.jsonl".to_owned(),
            guard,
        })
    }

    fn advice(&self, _: &(dyn std::error::Error + 'static)) -> (Option<Code>, Option<String>) {
        (None, None)
    }

    async fn catalogue(&self, _: &Tenant, _: &Policy) -> Vec<CatalogueEntry> {
        let entry = |name: &str, role: &str| CatalogueEntry {
            id: name.to_owned(),
            name: name.to_owned(),
            role: role.to_owned(),
            input_types: if role == "source" { Vec::new() } else { vec!["any".to_owned()] },
            output_types: if role == "sink" { Vec::new() } else { vec!["test.number.v1".to_owned()] },
            status: "available".to_owned(),
            version: "1.0.0".to_owned(),
            origin: "built-in".to_owned(),
            metadata: BTreeMap::new(),
            description: "does what a test says".to_owned(),
        };
        vec![entry("numbers", "source"), entry("memory", "sink")]
    }
}

/// Counts a guard out.
struct Held(Arc<AtomicUsize>);

impl Guard for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn node(role: Role, name: &str, topology: &Topology, parallelism: u16) -> Node {
    let schemas = |is_there: bool| if is_there { vec![number()] } else { Vec::new() };
    Node {
        id: name.parse().unwrap(),
        role,
        component: Component::Connector { name: name.to_owned() },
        is_available: true,
        inputs: schemas(role != Role::Source),
        outputs: schemas(role != Role::Sink),
        config: serde_json::json!({}),
        shown_config: serde_json::json!({}),
        grants: Grants::default(),
        parallelism: NonZeroU16::new(parallelism).unwrap(),
        key: None,
        brings_keys: false,
        is_stateful: false,
        has_timer: false,
        tick: None,
        limits: CallLimits::default(),
        settings: topology.settings,
    }
}

fn number() -> Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    let wit = "package test:number@1.0.0; interface event { record number { n: u64 } }";
    SCHEMA.get_or_init(|| Schema::from_wit(wit).unwrap().remove(0)).clone()
}

struct FakeWorkshop(Words, Arc<Wedge>);

#[async_trait]
impl Workshop for FakeWorkshop {
    async fn source(&self, _: &Node) -> Result<Box<dyn Source>, PrepareError> {
        Ok(Box::new(Numbers { at: 0, end: self.0.get("events").parse().ok() }))
    }

    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError> {
        Err(PrepareError { node: node.id.to_string(), source: "there is none".into() })
    }

    async fn sink(&self, node: &Node) -> Result<Box<dyn Sink>, PrepareError> {
        match node.config["sink"].as_str().unwrap_or_default() {
            "missing" => Err(PrepareError { node: node.id.to_string(), source: "no such table".into() }),
            "tells" => {
                let secret = self.0.get("secret");
                tracing::warn!(node = "out", "the table is `{secret}`");
                Err(PrepareError { node: node.id.to_string(), source: format!("no table `{secret}`").into() })
            }
            other => Ok(Box::new(Memory(other.to_owned(), Arc::clone(&self.1)))),
        }
    }

    async fn dead_letters(&self, _: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError> {
        Ok(Box::new(Nowhere))
    }
}

/// Emits the numbers from 0 on, for ever where there is no end.
struct Numbers {
    at: u64,
    end: Option<u64>,
}

#[async_trait]
impl Source for Numbers {
    async fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        self.at = position.map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        Ok(())
    }

    async fn next(&mut self, _: &Bounds) -> Result<Piece, Fault> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut columns = Columns::default();
        let mut names = Vec::new();
        if self.end.is_none_or(|end| self.at < end) {
            columns.push(self.at, &[u8::try_from(self.at % 100).unwrap()]);
            names.push(format!("in/{}", self.at));
            self.at += 1;
        }
        let batch = (!columns.is_empty()).then(|| Batch::new(columns, Ids::named(names)));
        let is_finished = self.end.is_some_and(|end| self.at >= end);
        Ok(Piece { batch, rejected: Vec::new(), position: self.at.to_le_bytes().to_vec(), is_finished })
    }
}

/// Takes events, or does as it is told.
struct Memory(String, Arc<Wedge>);

#[async_trait]
impl Sink for Memory {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    async fn write(&mut self, _: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        match self.0.as_str() {
            "closed" => std::future::pending().await,
            "loud" => {
                tracing::warn!(n_events = 1, "took events");
                Ok(Vec::new())
            }
            "broken" => Err(Fault::Fatal("disk is full".to_owned())),
            "panics" => panic!("the sink broke"),
            "stuck" => {
                // keeps its own task, and no other that this thread would have gone on with
                tokio::task::block_in_place(|| self.1.hold());
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}

struct Nowhere;

#[async_trait]
impl DeadLetterSink for Nowhere {
    async fn open(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn write(&mut self, _: &[DeadLetter]) -> Result<(), Fault> {
        Ok(())
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}
