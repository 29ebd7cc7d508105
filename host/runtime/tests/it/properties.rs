//! Any topology, any batches, any faults: every event ends exactly once in each sink it
//! leads to, or in a dead letter, under an id that depends on nothing but its way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flowctl_runtime::{Options, Status};
use proptest::prelude::*;

use crate::support::{Pipe, Rule, SinkSpec, SourceSpec, Verdict};

#[derive(Debug, Clone)]
struct Plan {
    sources: Vec<(u64, Vec<usize>)>,
    processors: Vec<PlannedProcessor>,
    /// Inputs of each sink.
    sinks: Vec<Vec<prop::sample::Index>>,
    queue_batches: usize,
    linger_ms: u64,
    interval_ms: u64,
}

#[derive(Debug, Clone)]
struct PlannedProcessor {
    inputs: Vec<prop::sample::Index>,
    n_instances: u16,
    salt: u64,
}

/// What a processor with this salt does.
fn verdict(salt: u64, n: u64) -> Verdict {
    match (n.wrapping_mul(31) ^ salt.wrapping_mul(17)) % 23 {
        0 => Verdict::Reject,
        1 => Verdict::Crash,
        2 => Verdict::Fatal,
        3 => Verdict::Twice(n),
        4 => Verdict::Drop,
        5 => Verdict::CrashInCompany,
        6 => Verdict::Retry(1),
        _ => Verdict::Emit(n),
    }
}

fn inputs() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    prop::collection::vec(any::<prop::sample::Index>(), 1..3)
}

fn plan() -> impl Strategy<Value = Plan> {
    let source = (0u64..80, prop::collection::vec(1usize..9, 1..4));
    let processor = (inputs(), 1u16..4, any::<u64>()).prop_map(|(inputs, n_instances, salt)| PlannedProcessor {
        inputs,
        n_instances,
        salt,
    });
    let parts = (
        prop::collection::vec(source, 1..3),
        prop::collection::vec(processor, 0..4),
        prop::collection::vec(inputs(), 1..3),
        1usize..5,
        0u64..20,
        1u64..200,
    );
    parts.prop_map(|(sources, processors, sinks, queue_batches, linger_ms, interval_ms)| Plan {
        sources,
        processors,
        sinks,
        queue_batches,
        linger_ms,
        interval_ms,
    })
}

/// A plan as names: nodes with their inputs. Nodes that nobody reads get a sink.
struct Graph {
    names: Vec<String>,
    edges: Vec<(String, String)>,
    sinks: Vec<(String, Vec<String>)>,
}

impl Graph {
    fn new(plan: &Plan) -> Self {
        let mut names: Vec<String> = (0..plan.sources.len()).map(|index| format!("s{index}")).collect();
        let mut edges = Vec::new();
        let pick = |names: &[String], inputs: &[prop::sample::Index]| {
            let mut picked: Vec<String> = inputs.iter().map(|index| index.get(names).clone()).collect();
            picked.sort();
            picked.dedup();
            picked
        };
        for (index, processor) in plan.processors.iter().enumerate() {
            let name = format!("p{index}");
            edges.extend(pick(&names, &processor.inputs).into_iter().map(|from| (from, name.clone())));
            names.push(name);
        }
        let mut sinks: Vec<(String, Vec<String>)> = plan
            .sinks
            .iter()
            .enumerate()
            .map(|(index, inputs)| (format!("out{index}"), pick(&names, inputs)))
            .collect();
        for name in &names {
            let is_read =
                edges.iter().any(|(from, _)| from == name) || sinks.iter().any(|(_, inputs)| inputs.contains(name));
            if !is_read {
                sinks.push((format!("rest-{name}"), vec![name.clone()]));
            }
        }
        for (sink, inputs) in &sinks {
            edges.extend(inputs.iter().map(|from| (from.clone(), sink.clone())));
        }
        Self { names, edges, sinks }
    }

    fn next<'a>(&'a self, node: &'a str) -> impl Iterator<Item = &'a str> {
        self.edges.iter().filter(move |(from, _)| from == node).map(|(_, to)| to.as_str())
    }

    fn inputs(&self, node: &str) -> Vec<&str> {
        self.edges.iter().filter(|(_, to)| to == node).map(|(from, _)| from.as_str()).collect()
    }
}

/// Where events end: for each node the ids, in the order of a run without fan-in.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ends {
    taken: BTreeMap<String, Vec<String>>,
    refused: Vec<(String, String)>,
}

impl Ends {
    fn expected(plan: &Plan, graph: &Graph) -> Self {
        let mut ends = Self::default();
        for (index, (n_events, _)) in plan.sources.iter().enumerate() {
            let source = format!("s{index}");
            for n in 0..*n_events {
                for next in graph.next(&source) {
                    ends.follow(plan, graph, next, format!("{source}/{n}"), n);
                }
            }
        }
        ends
    }

    fn follow(&mut self, plan: &Plan, graph: &Graph, node: &str, id: String, n: u64) {
        let Some(index) = node.strip_prefix('p').and_then(|index| index.parse::<usize>().ok()) else {
            self.taken.entry(node.to_owned()).or_default().push(id);
            return;
        };
        let n_outputs = match verdict(plan.processors[index].salt, n) {
            Verdict::Reject | Verdict::Crash | Verdict::Fatal => {
                self.refused.push((node.to_owned(), id));
                return;
            }
            Verdict::Drop => 0,
            Verdict::Twice(_) => 2,
            _ => 1,
        };
        for ordinal in 0..n_outputs {
            for next in graph.next(node) {
                self.follow(plan, graph, next, format!("{id}/{ordinal}"), n);
            }
        }
    }

    fn sorted(mut self) -> Self {
        self.taken.values_mut().for_each(|ids| ids.sort());
        self.refused.sort();
        self
    }
}

/// Whether a sink is reached through nodes with one input only: then its order is known.
fn is_on_a_line(graph: &Graph, sink: &str) -> bool {
    let mut node = sink;
    loop {
        match graph.inputs(node)[..] {
            [] => return true,
            [input] => node = input,
            _ => return false,
        }
    }
}

async fn check(plan: Plan) -> Result<(), TestCaseError> {
    let graph = Graph::new(&plan);
    let mut pipe = Pipe::new();
    for (index, (n_events, sizes)) in plan.sources.iter().enumerate() {
        let pause = Duration::from_millis(index as u64 * 3);
        pipe =
            pipe.source(&format!("s{index}"), SourceSpec { sizes: sizes.clone(), pause, ..SourceSpec::new(*n_events) });
    }
    for (index, processor) in plan.processors.iter().enumerate() {
        let name = format!("p{index}");
        let salt = processor.salt;
        let rule = Rule {
            delay: Arc::new(move |n| Duration::from_millis((n ^ salt) % 5)),
            ..Rule::new(move |n| verdict(salt, n))
        };
        pipe = pipe.processor(&name, rule, &graph.inputs(&name)).parallel(&name, processor.n_instances);
    }
    let sinks: Vec<(String, SinkSpec)> = graph.sinks.iter().map(|(name, _)| (name.clone(), SinkSpec::new())).collect();
    for (name, spec) in &sinks {
        pipe = pipe.sink(name, spec, &graph.inputs(name));
    }
    pipe = pipe.settings(|settings| {
        settings.queue_batches = plan.queue_batches;
        settings.linger = Duration::from_millis(plan.linger_ms);
        settings.checkpoint_interval = Duration::from_millis(plan.interval_ms);
    });
    pipe.options = Options { max_crashes: u32::MAX, ..pipe.options };

    let summary = tokio::time::timeout(Duration::from_secs(3_600), pipe.run()).await;
    let summary = summary.map_err(|_| TestCaseError::fail("the run does not end"))?;
    prop_assert_eq!(summary.status, Status::Completed, "{:?}", summary.error);

    let expected = Ends::expected(&plan, &graph);
    let ids = |spec: &SinkSpec| spec.events().into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    for (name, spec) in sinks.iter().filter(|(name, _)| is_on_a_line(&graph, name)) {
        let wanted = expected.taken.get(name).cloned().unwrap_or_default();
        prop_assert_eq!(ids(spec), wanted, "order at {}", name);
    }
    let taken = sinks.iter().map(|(name, spec)| (name.clone(), ids(spec))).filter(|(_, ids)| !ids.is_empty());
    let found = Ends { taken: taken.collect(), refused: pipe.letters.all() };
    prop_assert_eq!(found.sorted(), expected.sorted());
    let n_taken: usize = sinks.iter().map(|(_, spec)| spec.numbers().len()).sum();
    prop_assert_eq!(summary.events_out, n_taken as u64);
    prop_assert_eq!(summary.rejected, pipe.letters.all().len() as u64);
    prop_assert_eq!(summary.events_in, plan.sources.iter().map(|(n_events, _)| n_events).sum::<u64>());
    prop_assert!(graph.names.len() + sinks.len() == summary.per_node.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_ends_exactly_once_in_each_sink_or_in_a_dead_letter(plan in plan()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check(plan))?;
    }
}
