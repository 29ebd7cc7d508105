//! Reads a node's configuration into a connector's own type.

use flowctl_topology::Node;
use serde::de::DeserializeOwned;

use crate::ConnectorError;

/// Reads the configuration of `node`. Null counts as an empty configuration.
pub(crate) fn read<T: DeserializeOwned>(connector: &'static str, node: &Node) -> Result<T, ConnectorError> {
    let value = match &node.config {
        serde_json::Value::Null => serde_json::Value::Object(serde_json::Map::new()),
        value => value.clone(),
    };
    serde_json::from_value(value).map_err(|source| ConnectorError::Config { connector, source })
}
