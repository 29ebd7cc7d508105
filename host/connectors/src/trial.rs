//! Tries out whether a server takes what a node is configured with.
//!
//! Invariant: nothing is written, and no answer holds a secret. Left out: servers of which
//! more than that they can be connected to is only known by using them.

use std::path::Path;

use flowctl_schema::Role;
use flowctl_topology::{Component, Node};

use crate::base_dir::BaseDir;
use crate::sql::postgres;

/// Logs in where the node's connector has a login; none where it has none. Relative paths
/// start at `base_dir`, as for [`reach`](crate::reach()). It may take as long as the
/// configuration allows: the caller bounds it.
///
/// Answers what the server says that it is, or why it is of no use.
pub async fn log_in(node: &Node, base_dir: Option<&Path>) -> Option<Result<String, String>> {
    match (&node.component, node.role) {
        (Component::Connector { name }, Role::Sink) if name == postgres::NAME => {
            Some(postgres::log_in(&node.config, BaseDir(base_dir)).await)
        }
        _ => None,
    }
}
