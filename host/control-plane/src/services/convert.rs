//! What is shown, as messages.

use std::time::Duration;

use flowctl_proto::admin::{self, RunStatus as Wire};
use flowctl_runtime::LatencyFigures;
use flowctl_store::{EventLevel, EventRow, PipelineRow, RunStatus};
use jiff::Timestamp;

use crate::controller::{CatalogueEntry, EdgeFigures, NodeFigures, RunView};
use crate::directory::{Component, role_text};
use crate::records::moment;
use crate::text::code_name;

/// The longest duration of the protocol, about 10,000 years.
const MAX_SECONDS: u64 = 315_576_000_000;

pub(super) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let (mut seconds, mut nanos) = (at.as_second(), at.subsec_nanosecond());
    // a moment before 1970 counts its nanoseconds the other way
    if nanos < 0 {
        (seconds, nanos) = (seconds - 1, nanos + 1_000_000_000);
    }
    prost_types::Timestamp { seconds, nanos }
}

/// A time that a caller gives; none where it is negative, or none that the protocol knows.
pub(super) fn duration(wire: prost_types::Duration) -> Option<Duration> {
    let seconds = u64::try_from(wire.seconds).ok().filter(|seconds| *seconds <= MAX_SECONDS)?;
    let nanos = u32::try_from(wire.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

pub(super) fn run(view: &RunView) -> admin::Run {
    let figures = &view.figures;
    admin::Run {
        id: view.id.to_string(),
        pipeline: view.pipeline.to_string(),
        status: status(view.status).into(),
        created_at: Some(timestamp(view.created_at)),
        started_at: view.started_at.map(timestamp),
        ended_at: view.ended_at.map(timestamp),
        error: view.error.to_string(),
        hint: view.hint.to_string(),
        config: view.config.to_string(),
        resolved: view.resolved.to_string(),
        nodes: figures.nodes.iter().map(node).collect(),
        edges: figures.edges.iter().map(edge).collect(),
        epoch: figures.epoch,
        events_in: figures.events_in,
        events_out: figures.events_out,
        rejected: figures.rejected,
        elapsed: Some(elapsed(view)),
        dead_letters: view.dead_letters.to_string(),
        error_code: code_name(view.error_code),
    }
}

/// Time that the run has gone on, or went on.
fn elapsed(view: &RunView) -> prost_types::Duration {
    let from = view.started_at.unwrap_or(view.created_at);
    let to = view.ended_at.unwrap_or_else(Timestamp::now);
    let millis = to.as_millisecond().saturating_sub(from.as_millisecond()).max(0);
    prost_types::Duration {
        seconds: millis / 1_000,
        nanos: i32::try_from(millis % 1_000).unwrap_or_default() * 1_000_000,
    }
}

pub(super) const fn status(status: RunStatus) -> Wire {
    match status {
        RunStatus::Starting => Wire::Starting,
        RunStatus::Running => Wire::Running,
        RunStatus::Stopping => Wire::Stopping,
        RunStatus::Completed => Wire::Completed,
        RunStatus::Failed => Wire::Failed,
        RunStatus::Stopped => Wire::Stopped,
    }
}

fn node(figures: &NodeFigures) -> admin::NodeFigures {
    admin::NodeFigures {
        node: figures.node.clone(),
        role: figures.role.clone(),
        origin: figures.origin.clone(),
        events_in: figures.events_in,
        events_out: figures.events_out,
        bytes_in: figures.bytes_in,
        bytes_out: figures.bytes_out,
        batches_in: figures.batches_in,
        batches_out: figures.batches_out,
        rejected: figures.rejected,
        busy_ns: figures.busy_ns,
        restarts: figures.restarts,
        memory_bytes: figures.memory_bytes,
        cpu_ns: figures.cpu_ns,
        waiting: figures.waiting.clone(),
        latency: (figures.latency.count > 0).then(|| latency(&figures.latency)),
    }
}

fn latency(figures: &LatencyFigures) -> admin::Latency {
    let bucket =
        |&(seconds, count): &(f64, u64)| admin::LatencyBucket { up_to_us: (seconds * 1e6).round() as u64, count };
    admin::Latency {
        buckets: figures.buckets.iter().map(bucket).collect(),
        sum_ns: (figures.sum_seconds * 1e9).round() as u64,
        count: figures.count,
    }
}

fn edge(figures: &EdgeFigures) -> admin::EdgeFigures {
    admin::EdgeFigures {
        from: figures.from.clone(),
        to: figures.to.clone(),
        batches: figures.batches,
        bytes: figures.bytes,
        max_batches: figures.max_batches,
        max_bytes: figures.max_bytes,
    }
}

pub(super) fn pipeline(row: &PipelineRow, last_run: Option<&RunView>) -> admin::Pipeline {
    admin::Pipeline {
        name: row.name.clone(),
        tenant: row.tenant.clone(),
        is_wanted: row.is_wanted,
        last_run: last_run.map(run),
        n_runs: row.n_runs,
        created_at: Some(timestamp(moment(row.created_at))),
        changed_at: Some(timestamp(moment(row.changed_at))),
    }
}

pub(super) fn event(row: EventRow) -> admin::RunEvent {
    let level = match row.event.level {
        EventLevel::Info => "info",
        EventLevel::Warn => "warn",
        EventLevel::Error => "error",
    };
    admin::RunEvent {
        number: row.number,
        at: Some(timestamp(moment(row.event.at))),
        level: level.to_owned(),
        kind: row.event.kind,
        node: row.event.node.unwrap_or_default(),
        message: row.event.message,
    }
}

pub(super) fn entry(entry: CatalogueEntry) -> admin::Plugin {
    admin::Plugin {
        id: entry.id,
        name: entry.name,
        role: entry.role,
        input_types: entry.input_types,
        output_types: entry.output_types,
        status: entry.status,
        version: entry.version,
        origin: entry.origin,
        metadata: entry.metadata.into_iter().collect(),
        description: entry.description,
        last_heartbeat: None,
        registered_at: None,
        metrics: std::collections::HashMap::new(),
    }
}

pub(super) fn component(component: &Component) -> admin::Plugin {
    let registration = &component.registration;
    admin::Plugin {
        id: registration.id.clone(),
        name: registration.name.clone(),
        role: role_text(registration.role).to_owned(),
        input_types: registration.input_types.clone(),
        output_types: registration.output_types.clone(),
        status: component.health.as_str().to_owned(),
        version: registration.version.clone(),
        origin: format!("remote {}", registration.endpoint).trim_end().to_owned(),
        metadata: registration.metadata.clone().into_iter().collect(),
        description: registration.description.clone(),
        last_heartbeat: Some(timestamp(component.last_heartbeat)),
        registered_at: Some(timestamp(component.registered_at)),
        metrics: (*component.metrics).clone().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_in_whole_microseconds() {
        let figures =
            LatencyFigures { buckets: vec![(0.0001, 2), (0.00025, 0), (10.0, 1)], sum_seconds: 9.5, count: 4 };
        let told = latency(&figures);
        let buckets: Vec<_> = told.buckets.iter().map(|bucket| (bucket.up_to_us, bucket.count)).collect();
        assert_eq!(buckets, [(100, 2), (250, 0), (10_000_000, 1)]);
        assert_eq!((told.sum_ns, told.count), (9_500_000_000, 4));
    }

    #[test]
    fn durations_that_the_protocol_does_not_know_are_none() {
        let check = |seconds: i64, nanos: i32, found: Option<Duration>| {
            assert_eq!(duration(prost_types::Duration { seconds, nanos }), found, "{seconds} {nanos}");
        };
        check(1, 5, Some(Duration::new(1, 5)));
        check(0, 0, Some(Duration::ZERO));
        check(315_576_000_000, 0, Some(Duration::from_secs(315_576_000_000)));
        for (seconds, nanos) in [
            (-1, 0),
            (0, -1),
            (i64::MIN, i32::MIN),
            (i64::MIN, -1),
            (i64::MAX, 0),
            (315_576_000_001, 0),
            (0, 1_000_000_000),
        ] {
            check(seconds, nanos, None);
        }
    }
}
