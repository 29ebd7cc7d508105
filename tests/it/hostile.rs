//! Every misbehaving guest ends at its node, the host lives, and another pipeline in
//! the same process does not notice.
//!
//! One case a guest of `tests/guests`. Each runs in a process of its own through
//! `flowctl run`, and all of them beside an honest pipeline in one process.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use flowctl_connectors::Pipeline;
use flowctl_engine::{Engine, EngineConfig, Tenant};
use flowctl_registry::{Entry, Registry};
use flowctl_runtime::{Change, DeadLetterSink, Options, PrepareError, Run, Sink, Source, Stage, Workshop};
use flowctl_topology::Node;
use libtest_mimic::{Failed, Trial};

use crate::fact;
use crate::flowctl::{Flowctl, guests};

/// How a run over a guest ends.
enum End {
    /// The events it choked on are dead letters, with a reason that says this; the
    /// others went through.
    Rejected(&'static str),
    /// The run fails, names the node, and says this.
    Failed(&'static str),
    /// It takes what it is given: its misbehaviour harms nobody.
    Harmless,
}

use End::{Failed as Fails, Harmless, Rejected};

/// The guests, and how each ends on twenty events.
const GUESTS: [(&str, End); 23] = [
    ("bad_kind", Rejected("`kind` is")),
    ("bad_utf8", Rejected("utf-8")),
    ("big_log", Rejected("CPU")),
    ("big_write", Rejected("bytes at once")),
    ("bomb", Rejected("memory")),
    ("descending", Rejected("before the end")),
    ("exits", Rejected("exit")),
    ("flood", Rejected("memory")),
    ("forbidden", Harmless),
    ("gush", Harmless),
    ("identity", Harmless),
    ("log_flood", Harmless),
    ("overrun", Rejected("bytes")),
    ("panics", Rejected("panic")),
    ("recurse", Rejected("recurse::descend")),
    ("sleeps", Rejected("did not answer")),
    ("slow_configure", Fails("crashed in `configure`")),
    ("spin", Rejected("CPU")),
    ("stateful", Fails("not yet")),
    ("stray_origin", Rejected("`origins[")),
    ("stray_rejection", Rejected("reject")),
    ("trap_third", Harmless),
    ("unknown_import", Fails("asks for `launch`")),
];

/// The guests that no run starts with, since they fail while they are made ready.
const NEVER_START: [&str; 2] = ["slow_configure", "unknown_import"];

pub(crate) fn trials() -> Vec<Trial> {
    let every = fact("hostile::every_guest_has_a_case", || {
        let built = std::fs::read_dir(guests()).unwrap().map(|entry| entry.unwrap().path());
        let built: BTreeSet<String> = built
            .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|name| !name.contains('-'))
            .collect();
        assert_eq!(built, GUESTS.iter().map(|(name, _)| (*name).to_owned()).collect());
    });
    let cases = GUESTS.iter().map(|(name, end)| {
        Trial::test(format!("hostile::{name}_ends_at_its_node"), move || ends_at_its_node(name, end))
    });
    let beside = fact("hostile::honest_pipeline_beside_all_of_them_does_not_notice", honest_beside_hostile);
    [every, beside].into_iter().chain(cases).collect()
}

fn pipeline(guest: &str, n_events: usize) -> String {
    let config = if guest == "slow_configure" { "{mode: never_ending, name: x, tags: []}" } else { "{}" };
    let (cpu, timeout) = limits(guest);
    format!(
        "apiVersion: flowctl/v1\nkind: Pipeline\nmetadata: {{name: hostile}}\nspec:\n  \
         limits: {{memory: 32MiB, cpu: {cpu}, timeout: {timeout}}}\n  \
         sources: [{{id: source, type: generate, config: {{type: test.bytes.v1, count: {n_events}}}}}]\n  \
         processors: [{{id: guest, plugin: '{}', inputs: [source], config: {config}}}]\n  \
         sinks: [{{id: out, type: stdout, inputs: [guest]}}]\n",
        guests().join(format!("{guest}.wasm")).display()
    )
}

/// The time of CPU and of the clock that a call of a guest may take: little where the
/// guest ends by that, so that its run does not take long. Any other guest must not be out
/// of time because others are busy.
fn limits(guest: &str) -> (&'static str, &'static str) {
    match guest {
        "big_log" | "slow_configure" | "spin" => ("100ms", "60s"),
        "sleeps" => ("10s", "300ms"),
        _ => ("10s", "60s"),
    }
}

/// All guests at once in this process, and an honest pipeline among them.
fn honest_beside_hostile() {
    let flowctl = Flowctl::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let engine = Engine::new(EngineConfig { max_instances: 100, ..EngineConfig::default() }).unwrap();
    runtime.block_on(async {
        let mut runs = Vec::new();
        for (name, _) in GUESTS {
            let run = start(&flowctl, &engine, name, 20).await;
            assert_eq!(run.is_none(), NEVER_START.contains(&name), "{name}");
            runs.extend(run.map(|run| (name, run)));
        }
        let mut honest = start(&flowctl, &engine, "identity", 200_000).await.unwrap();
        let summary = honest.wait().await;
        assert_eq!((summary.events_out, summary.rejected, summary.error), (200_000, 0, None));
        for (name, mut run) in runs {
            let summary = run.wait().await;
            assert!(
                summary.fault.is_none_or(|fault| fault.node().is_some_and(|node| node.as_str() == "guest")),
                "{name}"
            );
        }
    });
}

/// Starts a pipeline over a guest in this process; none where it cannot be prepared.
async fn start(flowctl: &Flowctl, engine: &Engine, name: &str, n_events: usize) -> Option<Run> {
    let text = pipeline(name, n_events).replace("type: stdout", "type: blackhole");
    let document = flowctl_intent::parse("p.yaml", &text, &|_| None).unwrap();
    let path = guests().join(format!("{name}.wasm"));
    let contract = flowctl_schema::Contract::read(&std::fs::read(&path).unwrap(), name).ok()?;
    let mut entries = flowctl_connectors::catalogue();
    entries.push(Entry::plugin(path, contract));
    let registry = Registry::build(entries, []);
    let topology = flowctl_topology::plan(&document, &registry, &|_| None).unwrap();
    let state_dir = flowctl.path(&format!("{name}-{n_events}"));
    let pipeline =
        Pipeline { name: "p".parse().unwrap(), state_id: "0".to_owned(), is_new: true, state_dir, base_dir: None };
    let workshop = Bench { engine: engine.clone(), tenant: Tenant::new(name, 1 << 30), pipeline };
    let mut run = Run::new(Arc::new(workshop), Options::default());
    run.apply(Change::from_empty(&topology)).await.ok()?;
    Some(run)
}

/// A workshop in this process.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) pipeline: Pipeline,
}

#[async_trait]
impl Workshop for Bench {
    async fn source(&self, node: &Node) -> Result<Box<dyn Source>, PrepareError> {
        Ok(flowctl_connectors::source(node, &self.pipeline).unwrap())
    }

    async fn processor(&self, node: &Node) -> Result<Arc<dyn Stage>, PrepareError> {
        let stage: Arc<dyn Stage> = self.engine.stage(node, &self.tenant).await?;
        Ok(stage)
    }

    async fn sink(&self, node: &Node) -> Result<Box<dyn Sink>, PrepareError> {
        Ok(flowctl_connectors::sink(node, &self.pipeline).unwrap())
    }

    async fn dead_letters(&self, _: Option<&Node>) -> Result<Box<dyn DeadLetterSink>, PrepareError> {
        Ok(flowctl_connectors::dead_letter_file(self.pipeline.state_dir.join("dead-letters.jsonl")))
    }
}

fn ends_at_its_node(name: &str, end: &End) -> Result<(), Failed> {
    let flowctl = Flowctl::new();
    flowctl.write("p.yaml", pipeline(name, 20));
    let answer = flowctl.run("run p.yaml --summary summary.json --state-dir state");
    if answer.stderr.contains("panicked at") && name != "panics" {
        return Err(format!("the host panicked: {}", answer.stderr).into());
    }
    let letters = std::fs::read_to_string(flowctl.path("state/hostile/dead-letters.jsonl")).unwrap_or_default();
    match end {
        Fails(text) => {
            answer.failure(&["`guest`", text]);
        }
        Rejected(text) if answer.code == Some(1) => {
            // all calls fail: the run gives up, and says at which node and why
            answer.failure(&["`guest`", text]);
        }
        Rejected(text) => {
            assert!(!letters.is_empty(), "nothing was rejected: {}", answer.stderr);
            for letter in letters.lines() {
                let letter: serde_json::Value = serde_json::from_str(letter)?;
                assert_eq!(letter["node"], "guest");
                let said = format!("{} {}", letter["reason"], letter["log_tail"]);
                assert!(said.to_lowercase().contains(&text.to_lowercase()), "no `{text}` in {letter}");
            }
        }
        Harmless => {
            let answer = answer.success();
            let summary: serde_json::Value = serde_json::from_str(&flowctl.read("summary.json"))?;
            let n_rejected = summary["rejected"].as_u64().unwrap_or(0) as usize;
            assert_eq!(answer.stdout.lines().count() + n_rejected, 20, "{}", answer.stderr);
        }
    }
    Ok(())
}
