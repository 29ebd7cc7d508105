//! Traces over OTLP, where the environment says where to.
//!
//! One of so many batches of each node has a span, a trace of its own. Invariant: without an
//! endpoint nothing of this is made, and no batch has a span. A collector that is away costs
//! spans, never events: what waits for it is bounded, and more is dropped.

use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Runtime;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::session::COMPILE;

/// Of so many batches of a node one has a span, unless `FLOWCTL_TRACE_EVERY` says otherwise.
const DEFAULT_EVERY: u32 = 100;
/// What the runtime's spans of batches are told by.
const BATCH: &str = "flowctl::batch";
/// Time that the last spans get to leave, when the command ends.
const LAST_SPANS: Duration = Duration::from_secs(5);

static EXPORT: OnceLock<Export> = OnceLock::new();

struct Export {
    provider: SdkTracerProvider,
    every: u32,
    /// Carries the connection; that of the command may be gone before the last spans are.
    _runtime: Runtime,
}

/// Starts to export, where the environment asks for it: the layer that takes the spans.
///
/// # Errors
///
/// When a variable cannot be used; nothing is exported then.
pub(crate) fn start<S>() -> Result<Option<impl Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    if std::env::args_os().nth(1).is_some_and(|first| first == COMPILE) || !is_wanted() {
        return Ok(None);
    }
    let export = Export::new()?;
    let tracer = export.provider.tracer("flowctl");
    // the process starts once
    let _ = EXPORT.set(export);
    let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
    Ok(Some(layer.with_filter(Targets::new().with_target(BATCH, Level::INFO))))
}

/// Of how many batches of a node one has a span; 0 = none has.
pub(crate) fn every() -> u32 {
    EXPORT.get().map_or(0, |export| export.every)
}

/// Sends what waits.
pub(crate) fn finish() {
    if let Some(export) = EXPORT.get()
        && let Err(error) = export.provider.shutdown_with_timeout(LAST_SPANS)
    {
        tracing::warn!(%error, "the last spans were not exported");
    }
}

impl Export {
    fn new() -> Result<Self> {
        let every = every_of(variable("FLOWCTL_TRACE_EVERY").as_deref())?;
        if let Some(protocol) = variable(OTEL_EXPORTER_OTLP_PROTOCOL).filter(|protocol| protocol != "grpc") {
            bail!("{OTEL_EXPORTER_OTLP_PROTOCOL} is `{protocol}`; traces are exported over `grpc`, to port 4317");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.context("cannot start the async runtime")?;
        let exporter = {
            let _entered = runtime.enter();
            opentelemetry_otlp::SpanExporter::builder().with_tonic().build()
        };
        let exporter = exporter.with_context(|| {
            format!("`{OTEL_EXPORTER_OTLP_ENDPOINT}` or another variable of the exporter cannot be used")
        })?;
        let name = variable("OTEL_SERVICE_NAME").unwrap_or_else(|| "flowctl".to_owned());
        let resource = Resource::builder_empty()
            .with_service_name(name)
            .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_detector(Box::new(EnvResourceDetector::new()))
            .build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        Ok(Self { provider, every, _runtime: runtime })
    }
}

fn is_wanted() -> bool {
    let is_disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let endpoints = [OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT];
    !is_disabled && endpoints.into_iter().any(|name| variable(name).is_some())
}

/// An empty variable counts as none, as OpenTelemetry has it.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn every_of(value: Option<&str>) -> Result<u32> {
    let Some(value) = value else { return Ok(DEFAULT_EVERY) };
    value.parse().with_context(|| format!("FLOWCTL_TRACE_EVERY is `{value}`, not a number of batches"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampling_is_a_number_of_batches() {
        assert_eq!(every_of(None).unwrap(), DEFAULT_EVERY);
        assert_eq!(every_of(Some("1")).unwrap(), 1);
        assert_eq!(every_of(Some("0")).unwrap(), 0);
        let error = every_of(Some("1%")).unwrap_err().to_string();
        assert_eq!(error, "FLOWCTL_TRACE_EVERY is `1%`, not a number of batches");
    }
}
