//! Takes what the process logs about a run into that run's own log.
//!
//! An event belongs to a run when a span around it has the field `run`: of several the
//! outermost, which is the control plane's own. Which node it is about says its field
//! `node`, or that of the nearest span.

use std::fmt;

use flowctl_store::EventLevel;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::RunLog;

/// Bytes of one line.
const LINE_BYTES: usize = 8 << 10;

/// The layer. Events below `info` are not taken.
pub struct LogLayer(RunLog);

/// What a span says.
#[derive(Default)]
struct Place {
    run: Option<String>,
    node: Option<String>,
}

/// The text of an event: its message, then its fields.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
    node: Option<String>,
}

impl LogLayer {
    /// A layer that writes to `log`.
    #[must_use]
    pub const fn new(log: RunLog) -> Self {
        Self(log)
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LogLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut place = Place::default();
        attributes.record(&mut place);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(place);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(place) = span.extensions_mut().get_mut::<Place>()
        {
            values.record(place);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let level = match *event.metadata().level() {
            Level::ERROR => EventLevel::Error,
            Level::WARN => EventLevel::Warn,
            Level::INFO => EventLevel::Info,
            _ => return,
        };
        let Some(scope) = context.event_scope(event) else { return };
        let (mut run, mut node) = (None, None);
        for span in scope {
            if let Some(place) = span.extensions().get::<Place>() {
                run = place.run.clone().or(run);
                node = node.or_else(|| place.node.clone());
            }
        }
        let Some(run) = run else { return };
        let mut line = Line::default();
        event.record(&mut line);
        line.message.push_str(&line.fields);
        let node = line.node.or(node).unwrap_or_default();
        self.0.append(&run, level, "log", &node, &line.message);
    }
}

impl Visit for Place {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "run" => self.run = Some(value.to_owned()),
            "node" => self.node = Some(value.to_owned()),
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(field.name(), "run" | "node") {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

impl Line {
    fn has_room(&self) -> bool {
        self.message.len() + self.fields.len() < LINE_BYTES
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        use fmt::Write as _;
        if !self.has_room() {
            return;
        }
        // writing to a text cannot fail
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "node" => write!(self.node.get_or_insert_default(), "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
