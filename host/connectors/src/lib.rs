//! Native sources and sinks: what brings events in and takes them out without a
//! sandbox.
//!
//! [`catalogue`] says what there is, for discovery; [`source`] and [`sink`] make it
//! ready for a node; [`reach`](reach()) says what of the machine it will touch. Invariant: whatever can fail for reasons known beforehand fails
//! there, before a file is written or an event read; what a file holds can only fail
//! while it is read, and names the file and the place.

mod background;
mod base_dir;
mod blackhole;
mod catalogue;
mod config;
mod dead_letters;
mod error;
mod file_sink;
mod files;
mod http_client;
mod http_sink;
mod http_source;
mod json_lines;
mod letter_events;
mod line_file;
mod lines;
mod load;
mod output;
mod pipeline;
mod random;
mod reach;
mod sql;
mod stdout;
mod stellar_ledgers;
mod stellar_rpc;
mod trial;

use flowctl_registry::Entry;
use flowctl_runtime::{Sink, Source};
use flowctl_schema::{ConfigFault, Role};
use flowctl_topology::{Component, Node};

use self::sql::{postgres, sqlite};

pub use catalogue::catalogue;
pub use dead_letters::{dead_letter_file, dead_letters};
pub use error::ConnectorError;
pub use pipeline::Pipeline;
pub use reach::{Reach, reach};
pub use stellar_ledgers::generate::{GeneratedLedger, Generator, GeneratorSettings};
pub use trial::log_in;

/// What is wrong with a connector's configuration that has the fields and types of its
/// record: values out of bounds, fields that exclude each other. Planning asks this of
/// every node, so that whatever [`source`] and [`sink`] would refuse is found before a
/// run. No I/O: whether a file is there, only they find out.
#[must_use]
pub fn check(entry: &Entry, config: &serde_json::Value) -> Vec<ConfigFault> {
    let errors = match (entry.role, entry.name.as_str()) {
        (Role::Source, http_source::NAME) => http_source::check(config),
        (Role::Source, json_lines::FILE) => json_lines::check_file(config),
        (Role::Source, load::NAME) => load::check(config),
        (Role::Source, stellar_ledgers::NAME) => stellar_ledgers::check(config),
        (Role::Source, stellar_rpc::NAME) => stellar_rpc::check(config),
        (Role::Sink, file_sink::NAME) => file_sink::check_config(config),
        (Role::Sink, http_sink::NAME) => http_sink::check(config),
        (Role::Sink, postgres::NAME) => postgres::check(config),
        (Role::Sink, sqlite::NAME) => sqlite::check_config(config),
        _ => Vec::new(),
    };
    errors.into_iter().filter_map(ConnectorError::into_config_fault).collect()
}

/// Makes the source of `node`, which works for `pipeline`, ready: configuration
/// checked, files found. Nothing has been read yet.
///
/// # Errors
///
/// [`ConnectorError`] when the node's connector is no source of this build, or cannot
/// run as it is configured.
pub fn source(node: &Node, pipeline: &Pipeline) -> Result<Box<dyn Source>, ConnectorError> {
    match connector(node)? {
        http_source::NAME => http_source::source(node, pipeline),
        json_lines::FILE => json_lines::file(node, pipeline),
        json_lines::STDIN => json_lines::stdin(node),
        load::NAME => load::source(node),
        stellar_ledgers::NAME => stellar_ledgers::source(node, pipeline),
        stellar_rpc::NAME => stellar_rpc::source(node, pipeline),
        other => Err(catalogue::missing(Role::Source, other)),
    }
}

/// Makes the sink of `node`, which works for `pipeline`, ready: configuration checked.
/// Nothing is created or written before [`Sink::open`].
///
/// # Errors
///
/// [`ConnectorError`] when the node's connector is no sink of this build, or cannot run
/// as it is configured.
pub fn sink(node: &Node, pipeline: &Pipeline) -> Result<Box<dyn Sink>, ConnectorError> {
    match connector(node)? {
        blackhole::NAME => blackhole::sink(node),
        file_sink::NAME => file_sink::sink(node, pipeline),
        http_sink::NAME => http_sink::sink(node, pipeline),
        postgres::NAME => postgres::sink(node, pipeline),
        sqlite::NAME => sqlite::sink(node, pipeline),
        stdout::NAME => stdout::sink(node),
        other => Err(catalogue::missing(Role::Sink, other)),
    }
}

/// The connector that runs at a node. A plugin or a process of its own is none, whatever
/// its name.
fn connector(node: &Node) -> Result<&str, ConnectorError> {
    match &node.component {
        Component::Connector { name } => Ok(name),
        other => Err(catalogue::missing(node.role, other.name())),
    }
}
