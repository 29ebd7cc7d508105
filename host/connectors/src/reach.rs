//! What of a machine and its network a node touches, by its configuration alone.
//!
//! Invariant: complete and on the safe side. Whatever a connector opens, connects to or
//! listens at for its node is within what is said here, or in the state directory, which
//! is the host's. Left out: where links on a disk lead, and what names resolve to.

use std::path::{Path, PathBuf};

use flowctl_schema::Role;
use flowctl_topology::{Component, Node};
use serde_json::Value;

use crate::base_dir::BaseDir;
use crate::sql::{postgres, sqlite};
use crate::{
    ConnectorError, blackhole, file_sink, http_sink, http_source, json_lines, load, stdout, stellar_ledgers,
    stellar_rpc,
};

/// What a node touches. Paths are absolute, without `.` and `..`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Files that it reads; of a glob the folder that holds whatever can match.
    pub reads: Vec<PathBuf>,
    /// Files that it makes, writes or removes.
    pub writes: Vec<PathBuf>,
    /// What it connects to: `host:port`, the host in lower case as it is written, an
    /// address of IPv6 in brackets; a socket of the machine as its path.
    pub dials: Vec<String>,
    /// Addresses that it listens at, `address:port`; port 0 is any free one.
    pub listens: Vec<String>,
    /// Whether it reads standard input or writes standard output.
    pub uses_stdio: bool,
}

/// What the node touches when its relative paths start at `base_dir`; none for the working
/// directory of the process.
///
/// Of a component that runs by itself: its endpoint. Nothing of plugins and commands: a
/// plugin reaches what its node is granted, and a command whatever it likes. Nothing of a
/// configuration that [`source`](crate::source()) and [`sink`](crate::sink()) refuse.
#[must_use]
pub fn reach(node: &Node, base_dir: Option<&Path>) -> Reach {
    match &node.component {
        Component::Connector { name } => {
            of_connector(node.role, name, &node.config, BaseDir(base_dir)).and_then(Result::ok).unwrap_or_default()
        }
        Component::Remote { endpoint, .. } => Reach { dials: vec![endpoint.to_ascii_lowercase()], ..Reach::default() },
        Component::Plugin { .. } | Component::Command { .. } => Reach::default(),
    }
}

/// What a connector touches with a configuration; none where there is no such connector.
fn of_connector(role: Role, name: &str, config: &Value, base: BaseDir<'_>) -> Option<Result<Reach, ConnectorError>> {
    let stdio = || Ok(Reach { uses_stdio: true, ..Reach::default() });
    Some(match (role, name) {
        (Role::Source, http_source::NAME) => http_source::reach(config),
        (Role::Source, json_lines::FILE) => json_lines::reach_file(config, base),
        (Role::Source, json_lines::STDIN) => stdio(),
        (Role::Source, load::NAME) => Ok(Reach::default()),
        (Role::Source, stellar_ledgers::NAME) => stellar_ledgers::reach(config, base),
        (Role::Source, stellar_rpc::NAME) => stellar_rpc::reach(config, base),
        (Role::Sink, blackhole::NAME) => Ok(Reach::default()),
        (Role::Sink, file_sink::NAME) => file_sink::reach(config, base),
        (Role::Sink, http_sink::NAME) => http_sink::reach(config, base),
        (Role::Sink, postgres::NAME) => postgres::reach(config, base),
        (Role::Sink, sqlite::NAME) => sqlite::reach(config, base),
        (Role::Sink, stdout::NAME) => stdio(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue;

    #[test]
    fn every_connector_says_what_it_touches() {
        for entry in catalogue() {
            let said = of_connector(entry.role, &entry.name, &json!({}), BaseDir(None));
            assert!(said.is_some(), "{} `{}`", entry.role, entry.name);
        }
    }
}
