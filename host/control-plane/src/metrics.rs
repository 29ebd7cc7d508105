//! Figures for Prometheus: written at each scrape from what runs, for one tenant.
//!
//! Names, units and labels are stable: dashboards are made of them.

use std::collections::BTreeMap;
use std::fmt;

use flowctl_store::RunStatus;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::ControlPlane;
use crate::controller::{EdgeFigures, NodeFigures, RunView};
use crate::directory::Component;
use crate::tenants::{Demand, Tenant};

/// The figures of `tenant`.
pub(crate) fn text(plane: &ControlPlane, tenant: &Tenant) -> Result<String, fmt::Error> {
    let seen = Seen {
        tenant: tenant.to_string(),
        runs: plane.controller.active(tenant),
        components: plane.directory.list(tenant),
        used: plane.controller.used(tenant),
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(seen));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// What a scrape sees.
#[derive(Debug)]
struct Seen {
    tenant: String,
    runs: Vec<RunView>,
    components: Vec<Component>,
    used: Demand,
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Seen {
    fn encode(&self, mut to: DescriptorEncoder) -> fmt::Result {
        type Count = fn(&NodeFigures) -> u64;
        let counters: [(&str, &str, Count); 6] = [
            ("flowctl_node_events_in", "Events that a node received", |node| node.events_in),
            ("flowctl_node_events_out", "Events that a node emitted, or took if it is a sink", |node| node.events_out),
            ("flowctl_node_bytes_in", "Bytes of payloads that a node received", |node| node.bytes_in),
            ("flowctl_node_bytes_out", "Bytes of payloads that a node emitted", |node| node.bytes_out),
            ("flowctl_node_rejected", "Events that went to the dead letters", |node| node.rejected),
            ("flowctl_node_restarts", "Times that a node's component was made anew", |node| node.restarts),
        ];
        for (name, help, count) in counters {
            let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, node) in self.nodes() {
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count(node), None)?;
            }
        }
        let times: [(&str, &str, Count); 2] = [
            ("flowctl_node_cpu_seconds", "Time that a node's instances executed", |node| node.cpu_ns),
            ("flowctl_node_swap_pause_seconds", "Time for which changes of the topology held a node up", |node| {
                node.held_ns
            }),
        ];
        for (name, help, nanos) in times {
            let mut family = to.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, node) in self.nodes() {
                let seconds = nanos(node) as f64 / 1e9;
                family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&seconds, None)?;
            }
        }
        let memory = "Memory of a node's instances";
        let mut family = to.encode_descriptor("flowctl_node_memory_bytes", memory, None, MetricType::Gauge)?;
        for (labels, node) in self.nodes() {
            family.encode_family(&labels)?.encode_gauge(&node.memory_bytes)?;
        }
        let waiting = "Whether a node waits, such as for an unhealthy component";
        let mut family = to.encode_descriptor("flowctl_node_waiting", waiting, None, MetricType::Gauge)?;
        for (labels, node) in self.nodes() {
            family.encode_family(&labels)?.encode_gauge(&i64::from(!node.waiting.is_empty()))?;
        }
        self.encode_batches(&mut to)?;
        self.encode_edges(&mut to)?;
        self.encode_host(&mut to)
    }
}

impl Seen {
    fn nodes(&self) -> impl Iterator<Item = (Labels<'_>, &NodeFigures)> {
        self.runs.iter().flat_map(|run| {
            run.figures.nodes.iter().map(|node| {
                let labels =
                    vec![("tenant", self.tenant.as_str()), ("pipeline", &*run.pipeline), ("node", node.node.as_str())];
                (labels, node)
            })
        })
    }

    fn edges(&self) -> impl Iterator<Item = (Labels<'_>, &EdgeFigures)> {
        self.runs.iter().flat_map(|run| {
            run.figures.edges.iter().map(|edge| {
                let labels = vec![
                    ("tenant", self.tenant.as_str()),
                    ("pipeline", &*run.pipeline),
                    ("from", edge.from.as_str()),
                    ("to", edge.to.as_str()),
                ];
                (labels, edge)
            })
        })
    }

    fn encode_batches(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Time of a component's calls with a batch";
        let mut family = to.encode_descriptor("flowctl_node_batch_seconds", help, None, MetricType::Histogram)?;
        for (labels, node) in self.nodes() {
            let latency = &node.latency;
            let mut buckets = latency.buckets.clone();
            let n_within: u64 = buckets.iter().map(|(_, count)| count).sum();
            buckets.push((f64::MAX, latency.count.saturating_sub(n_within)));
            let count = latency.count.max(n_within);
            let mut histogram = family.encode_family(&labels)?;
            histogram.encode_histogram::<NoLabelSet>(latency.sum_seconds, count, &buckets, None)?;
        }
        Ok(())
    }

    fn encode_edges(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        type Count = fn(&EdgeFigures) -> u64;
        let gauges: [(&str, &str, Count); 4] = [
            ("flowctl_edge_batches", "Batches that wait on an edge", |edge| edge.batches),
            ("flowctl_edge_bytes", "Bytes that wait on an edge", |edge| edge.bytes),
            ("flowctl_edge_max_batches", "Most batches that may wait on an edge", |edge| edge.max_batches),
            ("flowctl_edge_max_bytes", "Most bytes that may wait on an edge", |edge| edge.max_bytes),
        ];
        for (name, help, count) in gauges {
            let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, edge) in self.edges() {
                family.encode_family(&labels)?.encode_gauge(&count(edge))?;
            }
        }
        Ok(())
    }

    fn encode_host(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let tenant = self.tenant.as_str();
        let mut by_status = BTreeMap::from([("starting", 0_u64), ("running", 0), ("stopping", 0)]);
        for run in &self.runs {
            let status = match run.status {
                RunStatus::Starting => "starting",
                RunStatus::Stopping => "stopping",
                _ => "running",
            };
            *by_status.entry(status).or_default() += 1;
        }
        let mut family = to.encode_descriptor("flowctl_runs", "Runs that go on", None, MetricType::Gauge)?;
        for (status, count) in by_status {
            family.encode_family(&[("tenant", tenant), ("status", status)])?.encode_gauge(&count)?;
        }
        let mut by_health = BTreeMap::from([("healthy", 0_u64), ("unhealthy", 0)]);
        for component in &self.components {
            *by_health.entry(component.health.as_str()).or_default() += 1;
        }
        let help = "Components that are registered";
        let mut family = to.encode_descriptor("flowctl_components", help, None, MetricType::Gauge)?;
        for (health, count) in by_health {
            family.encode_family(&[("tenant", tenant), ("status", health)])?.encode_gauge(&count)?;
        }
        for (name, help, value) in [
            ("flowctl_tenant_instances", "Instances that count against the quota", self.used.instances),
            ("flowctl_tenant_memory_bytes", "Memory that counts against the quota", self.used.memory_bytes),
        ] {
            let mut family = to.encode_descriptor(name, help, None, MetricType::Gauge)?;
            family.encode_family(&[("tenant", tenant)])?.encode_gauge(&value)?;
        }
        Ok(())
    }
}
