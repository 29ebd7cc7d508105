//! Logs on stderr: warnings, and what `FLOWCTL_LOG` asks for. What is logged about a run
//! goes into that run's own log too.

use std::io::IsTerminal as _;
use std::sync::OnceLock;

use flowctl_control_plane::controller::{LogLayer, RunLog};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::{status, terminal, traces};

/// Where the lines of runs go, once there is a control plane in this process.
static RUNS: OnceLock<LogLayer> = OnceLock::new();

/// Starts logging. `FLOWCTL_LOG` is a filter such as `info` or `flowctl_engine=debug`;
/// without it warnings are logged, those of plugins too. With `FLOWCTL_LOG_FORMAT=json`
/// each line is a JSON object. Spans leave as [`traces`] says.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("FLOWCTL_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let lines = fmt::layer().with_writer(|| status::Log);
    let is_json = std::env::var("FLOWCTL_LOG_FORMAT").is_ok_and(|format| format.eq_ignore_ascii_case("json"));
    let is_coloured = std::io::stderr().is_terminal() && terminal::has_colour();
    let lines = match is_json {
        true => lines.json().with_current_span(true).with_span_list(false).with_ansi(false).boxed(),
        false => lines.with_ansi(is_coloured).compact().boxed(),
    };
    let runs = OfRuns.with_filter(LevelFilter::INFO);
    let (spans, fault) = match traces::start() {
        Ok(spans) => (spans, None),
        Err(fault) => (None, Some(fault)),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(runs).with(spans).init();
    if let Some(fault) = fault {
        tracing::warn!("no traces are exported: {fault:#}");
    }
}

/// Has what is logged about a run go into `log` too.
pub(crate) fn keep_in(log: RunLog) {
    // one control plane a process
    let _ = RUNS.set(LogLayer::new(log));
}

/// Passes everything on to [`RUNS`].
struct OfRuns;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for OfRuns {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(runs) = RUNS.get() {
            runs.on_new_span(attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(runs) = RUNS.get() {
            runs.on_record(id, values, context);
        }
    }

    fn on_event(&self, event: &tracing::Event<'_>, context: Context<'_, S>) {
        if let Some(runs) = RUNS.get() {
            runs.on_event(event, context);
        }
    }
}
