//! `control-plane`: how long lists take while a thousand components beat each second and
//! the store holds ten thousand runs.
//!
//! A list is timed twice: as the call, and as the whole command, from the start of its
//! process to its end. The store's size is measured too, before and after retention.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flowctl_client::{Client, Target, admin};
use flowctl_proto::v1::control_plane_service_client::ControlPlaneServiceClient;
use flowctl_proto::v1::{ComponentInfo, ComponentType, HealthStatus, HeartbeatRequest, RegisterRequest};
use flowctl_store::{HostStore, PipelineRecord, Retention, RunRecord, RunStatus};
use serde::Serialize;
use tonic::transport::Channel;

use crate::pipeline::Sandbox;

/// The benchmark's name.
pub(crate) const NAME: &str = "control-plane";

const N_COMPONENTS: usize = 1_000;
const N_PIPELINES: usize = 100;
const N_RUNS: usize = 10_000;
/// Times that each list is asked for.
const N_CALLS: usize = 200;
/// Times that each command is started.
const N_COMMANDS: usize = 100;

/// What one thing takes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Latency {
    name: String,
    n: usize,
    p50_ms: f64,
    p99_ms: f64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    figures: BTreeMap<&'static str, f64>,
}

/// A `flowctl serve` that is ended when this is dropped.
struct Serving {
    process: Child,
    address: String,
}

/// Measures it.
pub(crate) fn run(sandbox: &Sandbox) -> Result<Vec<Latency>> {
    let Some(flowctl) = sandbox.flowctl() else { bail!("`--flowctl` does not say which program to start") };
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    let store = HostStore::open(folder.path())?;
    fill(&store)?;
    let size_before = size(folder.path())?;
    let serving = Serving::start(flowctl, folder.path())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut rows = runtime.block_on(measure(&serving.address))?;
    for arguments in [["processors", "list"], ["pipelines", "list"]] {
        rows.push(command(flowctl, &serving.address, &arguments)?);
    }
    drop(serving);
    let retention = Retention { max_age: Duration::from_secs(3600), max_runs_per_pipeline: 10, now: now() };
    store.retain(&retention)?;
    let figures = BTreeMap::from([
        ("runs_before", N_RUNS as f64),
        ("bytes_before", size_before as f64),
        ("bytes_after", size(folder.path())? as f64),
    ]);
    rows.push(Latency { name: "store-size-by-retention".to_owned(), n: 1, p50_ms: 0.0, p99_ms: 0.0, figures });
    Ok(rows)
}

async fn measure(address: &str) -> Result<Vec<Latency>> {
    let channel = Channel::from_shared(format!("http://{address}"))?.connect().await?;
    let mut components = ControlPlaneServiceClient::new(channel);
    let mut ids = Vec::new();
    for number in 0..N_COMPONENTS {
        let registered = components.register_component(component(number)).await?;
        ids.push(registered.into_inner().service_id);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    let beating = tokio::spawn(beat(components, ids, Arc::clone(&is_over)));
    let client = Client::connect(&Target::plain(address)).await?;
    let mut rows = Vec::new();
    let mut took = Vec::new();
    for _ in 0..N_CALLS {
        let started = Instant::now();
        let found = client.plugins(admin::ListPluginsRequest::default()).await?.len();
        took.push(started.elapsed());
        anyhow::ensure!(found >= N_COMPONENTS, "{found} components are listed");
    }
    rows.push(Latency::of("call: list plugins", std::mem::take(&mut took)));
    for _ in 0..N_CALLS {
        let started = Instant::now();
        let found = client.pipelines(admin::ListPipelinesRequest::default()).await?.len();
        took.push(started.elapsed());
        anyhow::ensure!(found == N_PIPELINES, "{found} pipelines are listed");
    }
    rows.push(Latency::of("call: list pipelines", took));
    is_over.store(true, Ordering::Relaxed);
    rows.push(Latency::of("call: heartbeat", beating.await??));
    Ok(rows)
}

/// Has every component beat once a second, evenly spread.
async fn beat(
    mut components: ControlPlaneServiceClient<Channel>,
    ids: Vec<String>,
    is_over: Arc<AtomicBool>,
) -> Result<Vec<Duration>> {
    let mut took = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / u32::try_from(ids.len())?);
    for service_id in ids.iter().cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        ticks.tick().await;
        let started = Instant::now();
        let status = HealthStatus::Healthy.into();
        components
            .heartbeat(HeartbeatRequest { service_id: service_id.clone(), status, ..HeartbeatRequest::default() })
            .await?;
        took.push(started.elapsed());
    }
    Ok(took)
}

fn component(number: usize) -> RegisterRequest {
    let info = ComponentInfo {
        id: format!("component-{number}"),
        name: format!("component {number}"),
        version: "1.0.0".to_owned(),
        r#type: ComponentType::Processor.into(),
        input_event_types: vec!["example.order.v1".to_owned()],
        output_event_types: vec!["example.order.v1".to_owned()],
        endpoint: format!("127.0.0.1:{}", 20_000 + number),
        ..ComponentInfo::default()
    };
    RegisterRequest { component: Some(info), component_id: String::new() }
}

fn command(flowctl: &Path, address: &str, arguments: &[&str]) -> Result<Latency> {
    let mut took = Vec::new();
    for _ in 0..N_COMMANDS {
        let mut command = Command::new(flowctl);
        command.args(arguments).args(["--control-plane", address]).env_remove("FLOWCTL_PLUGINS");
        let started = Instant::now();
        let answer = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        took.push(started.elapsed());
        anyhow::ensure!(answer.status.success(), "`flowctl {}` failed", arguments.join(" "));
    }
    Ok(Latency::of(&format!("command: {}", arguments.join(" ")), took))
}

fn fill(store: &HostStore) -> Result<()> {
    let text = "apiVersion: flowctl/v2\nkind: Topology\nspec: {from: example.order.v1, to: blackhole}\n";
    for number in 0..N_PIPELINES {
        store.put_pipeline(&PipelineRecord {
            tenant: "default".to_owned(),
            name: format!("pipeline-{number}"),
            text: text.to_owned(),
            file_name: format!("pipeline-{number}.yaml"),
            base_dir: "/".to_owned(),
            plugins: Vec::new(),
            lock: String::new(),
            options: "{}".to_owned(),
            is_wanted: false,
            created_at: now(),
            changed_at: now(),
            revision: 0,
        })?;
    }
    for number in 0..N_RUNS {
        store.create_run(&RunRecord {
            id: format!("{number:028x}"),
            tenant: "default".to_owned(),
            pipeline: format!("pipeline-{}", number % N_PIPELINES),
            host_id: store.host_id().to_owned(),
            status: RunStatus::Completed,
            created_at: now(),
            started_at: Some(now()),
            ended_at: Some(now()),
            error: String::new(),
            error_code: String::new(),
            hint: String::new(),
            config: text.to_owned(),
            resolved: "{}".to_owned(),
            figures: String::new(),
            epoch: 1,
            events_in: 1_000,
            events_out: 1_000,
            rejected: 0,
            dead_letters: String::new(),
        })?;
    }
    Ok(())
}

impl Latency {
    fn of(name: &str, mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let at =
            |share: usize| took.get(took.len() * share / 100).or(took.last()).map_or(0.0, |t| t.as_secs_f64() * 1e3);
        Self { name: name.to_owned(), n: took.len(), p50_ms: at(50), p99_ms: at(99), figures: BTreeMap::new() }
    }

    /// The row for people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{:<28}{:>6}{:>12.2}{:>12.2}\n", self.name, self.n, self.p50_ms, self.p99_ms);
        for (what, value) in &self.figures {
            text.push_str(&format!("  {what:<26}{value:>18.0}\n"));
        }
        text
    }
}

impl Serving {
    fn start(flowctl: &Path, state_dir: &Path) -> Result<Self> {
        let mut command = Command::new(flowctl);
        command.args(["serve", "--listen", "127.0.0.1:0", "--state-dir"]).arg(state_dir);
        command.env_remove("FLOWCTL_PLUGINS").env("HOME", state_dir);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut process = spawned.with_context(|| format!("cannot start `{}`", flowctl.display()))?;
        let stderr = process.stderr.take().context("its status is not piped")?;
        for line in BufReader::new(stderr).lines() {
            let line = line.context("cannot read its status")?;
            if let Some(address) = line.strip_prefix("Control plane running on ") {
                return Ok(Self { process, address: address.to_owned() });
            }
        }
        bail!("`flowctl serve` ended before it listened")
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Bytes of the database with its log.
fn size(folder: &Path) -> Result<u64> {
    let mut n_bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("host.db") {
            n_bytes += entry.metadata()?.len();
        }
    }
    Ok(n_bytes)
}

/// Milliseconds since the Unix epoch.
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
