//! Reads a node's configuration into a connector's own type.

use std::ops::RangeInclusive;
use std::time::Duration;

use flowctl_topology::Node;
use flowctl_types::units;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ConnectorError;

/// Reads the configuration of `node`. Null counts as an empty configuration.
pub(crate) fn read<T: DeserializeOwned>(connector: &'static str, node: &Node) -> Result<T, ConnectorError> {
    read_value(connector, &node.config)
}

/// Reads a configuration. Null counts as an empty one.
pub(crate) fn read_value<T: DeserializeOwned>(connector: &'static str, config: &Value) -> Result<T, ConnectorError> {
    let value = match config {
        Value::Null => Value::Object(serde_json::Map::new()),
        value => value.clone(),
    };
    serde_json::from_value(value).map_err(|source| ConnectorError::Config { connector, source })
}

/// Reads a duration such as `250ms`; `default` where it is left out.
///
/// # Errors
///
/// [`ConnectorError`] when it is no duration, or not within `range`.
pub(crate) fn duration(
    connector: &'static str,
    field: &'static str,
    written: Option<&str>,
    default: Duration,
    range: RangeInclusive<Duration>,
) -> Result<Duration, ConnectorError> {
    let Some(text) = written else { return Ok(default) };
    units::parse_duration(text).filter(|duration| range.contains(duration)).ok_or_else(|| {
        let [first, last] = [*range.start(), *range.end()].map(units::duration_text);
        let reason = format!("is no duration from {first} to {last}: write `{}`", units::duration_text(default));
        ConnectorError::field(connector, field, reason)
    })
}

/// Reads a size such as `64MiB`; `default` where it is left out.
///
/// # Errors
///
/// [`ConnectorError`] when it is no size, or not within `range`.
pub(crate) fn size(
    connector: &'static str,
    field: &'static str,
    written: Option<&str>,
    default: usize,
    range: RangeInclusive<usize>,
) -> Result<usize, ConnectorError> {
    let Some(text) = written else { return Ok(default) };
    let size = units::parse_size(text).and_then(|size| usize::try_from(size).ok());
    size.filter(|size| range.contains(size)).ok_or_else(|| {
        let [first, last, usual] = [*range.start(), *range.end(), default].map(|size| units::size_text(size as u64));
        ConnectorError::field(connector, field, format!("is no size from {first} to {last}: write `{usual}`"))
    })
}
