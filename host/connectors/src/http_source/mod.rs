//! Source `http`: events that clients post, as JSON or as lines of JSON.
//!
//! `POST PATH` with `application/json` (one event, or an array of events) or
//! `application/x-ndjson` (one event a line). An accepted event lies in the [`spool`], a
//! database in the node's state folder, before its client is answered 200, and leaves it
//! when every sink has taken it. So a crash at any moment loses nothing that was
//! accepted. An event's id is `NODE/NUMBER`, numbers counted from 1 and never used twice;
//! its time is when its request arrived.
//!
//! The way of a request: [`server`] takes its connection, [`routes`] checks it and reads
//! its body, [`events`] makes payloads of it, [`writer`] commits them together with those
//! of other requests, and [`source`] hands them to the runtime.
//!
//! Invariants: a request is taken whole or not at all; 200 is answered after the commit;
//! bodies under way, the spool, connections and keys are bounded. The stream has no end.
//!
//! There is no TLS here: beyond the own machine it belongs behind a proxy that has it.

mod answer;
mod events;
mod routes;
mod server;
mod settings;
mod source;
mod spool;
mod writer;

use flowctl_runtime::Source;
use flowctl_topology::Node;

use self::settings::Settings;
use self::source::HttpSource;
use crate::reach::Reach;
use crate::{ConnectorError, Pipeline, json_lines};

pub(crate) use self::settings::CONFIG;

pub(crate) const NAME: &str = "http";

/// What is wrong with a configuration that has the right fields.
pub(crate) fn check(config: &serde_json::Value) -> Vec<ConnectorError> {
    Settings::read(config).err().into_iter().collect()
}

/// What a source of this configuration touches, its folder in the state directory aside.
pub(crate) fn reach(config: &serde_json::Value) -> Result<Reach, ConnectorError> {
    let (settings, _) = Settings::read(config)?;
    Ok(Reach { listens: vec![settings.listen.to_string()], ..Reach::default() })
}

/// Makes the source of `node` ready. Nothing is listened at before `open`.
pub(crate) fn source(node: &Node, pipeline: &Pipeline) -> Result<Box<dyn Source>, ConnectorError> {
    let (settings, name) = Settings::read(&node.config)?;
    let schema = json_lines::emitted(NAME, node, &name)?;
    Ok(Box::new(HttpSource::new(node.id.clone(), schema, settings, pipeline.node_dir(&node.id))))
}
