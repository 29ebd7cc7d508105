//! Why a component cannot be a node.

use flowctl_types::NodeId;

/// Why a component in another process cannot be a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The endpoint is no address.
    #[error("node `{node}`: `{endpoint}` is no endpoint: write `host:port`")]
    Endpoint {
        /// The node.
        node: NodeId,
        /// What was given.
        endpoint: String,
    },
    /// A field of the node's configuration cannot be used.
    #[error("node `{node}`: `{field}` {reason}")]
    Config {
        /// The node.
        node: NodeId,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The component is not what the topology expects.
    #[error("the component at `{endpoint}` is not what node `{node}` expects: {reason}")]
    Mismatch {
        /// The node.
        node: NodeId,
        /// Where the component is.
        endpoint: String,
        /// How they differ.
        reason: String,
    },
    /// The component did not say what it is.
    #[error("the component at `{endpoint}` does not say what it is: {reason}")]
    Info {
        /// Where the component is.
        endpoint: String,
        /// What it answered.
        reason: String,
    },
}
