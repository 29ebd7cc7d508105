//! How long the control plane's lists take: 1,000 components, 10,000 runs of 100 pipelines.
//!
//! `cargo run -p flowctl-store --example host_speed`
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::{Duration, Instant};

use flowctl_store::{
    ComponentRecord, ComponentRole, EventLevel, EventRecord, Heartbeat, HostStore, PipelineQuery, PipelineRecord,
    Retention, RunQuery, RunRecord, RunStatus, RunUpdate,
};

const TENANT: &str = "default";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = HostStore::open(folder.path())?;
    for n in 0..1_000 {
        store.put_component(&component(n))?;
    }
    for n in 0..100 {
        store.put_pipeline(&pipeline(n))?;
    }
    let events: Vec<_> = (0..20).map(event).collect();
    for n in 0..10_000 {
        let run = run(n, store.host_id());
        store.create_run(&run)?;
        store.append_events(&run.id, &events)?;
        // the oldest go on: the worst case for lists of those
        if n >= 100 {
            store.update_run(&RunUpdate { id: run.id, status: Some(RunStatus::Stopped), ..RunUpdate::default() })?;
        }
    }
    let beats: Vec<_> = (0..1_000).map(heartbeat).collect();
    let id = run(50, "").id;
    let figures = RunUpdate { id: id.clone(), figures: Some("x".repeat(4_000)), ..RunUpdate::default() };
    let running = RunUpdate { status: Some(RunStatus::Running), ..figures.clone() };
    let page = PipelineQuery::of(TENANT);
    let runs = RunQuery::of(TENANT);
    let deep = RunQuery { before: Some(5_000), limit: 1_000, ..runs.clone() };
    let of_one = RunQuery { pipeline: Some("pipeline-050".to_owned()), ..runs.clone() };
    let going = RunQuery { is_active: true, ..runs.clone() };
    let going_of_one = RunQuery { is_active: true, ..of_one.clone() };

    time("components()", || store.components().map(|rows| rows.len()))?;
    time("pipelines(100)", || store.pipelines(&page).map(|rows| rows.len()))?;
    let active = PipelineQuery { is_active: true, ..page.clone() };
    time("pipelines(100, active)", || store.pipelines(&active).map(|rows| rows.len()))?;
    time("pipeline_row()", || store.pipeline_row(TENANT, "pipeline-050").map(|row| usize::from(row.is_some())))?;
    time("runs(100)", || store.runs(&runs).map(|rows| rows.len()))?;
    time("runs(1000, from the middle)", || store.runs(&deep).map(|rows| rows.len()))?;
    time("runs(of a pipeline)", || store.runs(&of_one).map(|rows| rows.len()))?;
    time("runs(active)", || store.runs(&going).map(|rows| rows.len()))?;
    time("runs(active, of a pipeline)", || store.runs(&going_of_one).map(|rows| rows.len()))?;
    time("run()", || store.run(TENANT, &id).map(|run| usize::from(run.is_some())))?;
    time("events(1000)", || store.events(&id, 0, None, 1_000).map(|rows| rows.len()))?;
    time("beat(1000)", || store.beat(&beats).map(|()| beats.len()))?;
    time("update_run(figures)", || store.update_run(&figures).map(|_| 1))?;
    time("update_run(status)", || store.update_run(&running).map(|_| 1))?;
    time("append_events(20)", || store.append_events(&id, &events).map(|_| events.len()))?;
    let hundred: Vec<_> = (0..100).map(event).collect();
    for _ in 0..100 {
        store.append_events(&id, &hundred)?;
    }
    time("append_events(100), full", || store.append_events(&id, &hundred).map(|_| hundred.len()))?;

    let started = Instant::now();
    let retention = Retention { max_age: Duration::MAX, max_runs_per_pipeline: 10, now: 0 };
    let removed = store.retain(&retention)?;
    println!("{:<32}{:>10.2} ms  {removed:?}", "retain(10 a pipeline)", started.elapsed().as_secs_f64() * 1e3);
    let started = Instant::now();
    drop(HostStore::open(folder.path())?);
    println!("{:<32}{:>10.2} ms", "open()", started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// Prints the median and the worst of some calls.
fn time<E: Error + 'static>(what: &str, call: impl Fn() -> Result<usize, E>) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    let mut n_rows = 0;
    for _ in 0..51 {
        let started = Instant::now();
        n_rows = call()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{what:<32}{:>10.2} ms, at worst {:>8.2} ms, {n_rows} rows", ms(times[25]), ms(times[50]));
    Ok(())
}

fn component(n: u32) -> ComponentRecord {
    let pairs = |prefix: &str| (0..4).map(|key| (format!("{prefix}-{key}"), format!("value of {key}"))).collect();
    ComponentRecord {
        tenant: TENANT.to_owned(),
        id: format!("component-{n}"),
        name: format!("component {n}"),
        description: "turns ledgers into transfers of tokens".to_owned(),
        version: "1.2.3".to_owned(),
        role: ComponentRole::Processor,
        input_types: vec!["stellar.ledger.v1".to_owned()],
        output_types: vec!["stellar.token.transfer.v1".to_owned()],
        endpoint: format!("10.0.0.1:{n}"),
        metadata: pairs("key"),
        node: None,
        registered_at: 1,
        last_heartbeat: 1,
        status: "healthy".to_owned(),
        metrics: pairs("metric"),
    }
}

fn heartbeat(n: u32) -> Heartbeat {
    let ComponentRecord { tenant, id, status, metrics, .. } = component(n);
    Heartbeat { tenant, id, at: 2, status, metrics }
}

fn pipeline(n: u32) -> PipelineRecord {
    PipelineRecord {
        tenant: TENANT.to_owned(),
        name: format!("pipeline-{n:03}"),
        text: "spec: {}\n".repeat(200),
        file_name: "pipeline.yaml".to_owned(),
        base_dir: "/srv/pipelines".to_owned(),
        plugins: vec!["plugins".to_owned()],
        lock: "plugin: sha256\n".repeat(20),
        options: "{}".to_owned(),
        is_wanted: true,
        created_at: 1,
        changed_at: 1,
        revision: 0,
    }
}

fn run(n: u32, host: &str) -> RunRecord {
    RunRecord {
        id: format!("run-{n}"),
        tenant: TENANT.to_owned(),
        pipeline: pipeline(n % 100).name,
        host_id: host.to_owned(),
        status: RunStatus::Starting,
        created_at: i64::from(n),
        started_at: None,
        ended_at: None,
        error: String::new(),
        error_code: String::new(),
        hint: String::new(),
        config: "spec: {}\n".repeat(200),
        resolved: "{\"node\": {}}".repeat(100),
        figures: "{\"node\": {}}".repeat(300),
        epoch: 1,
        events_in: 2,
        events_out: 3,
        rejected: 4,
        dead_letters: "/srv/pipelines/dead-letters".to_owned(),
    }
}

fn event(n: i64) -> EventRecord {
    EventRecord {
        at: n,
        level: EventLevel::Info,
        kind: "log".to_owned(),
        node: Some("ledgers".to_owned()),
        message: format!("line {n} of what a component says, of a usual length for such lines"),
    }
}
