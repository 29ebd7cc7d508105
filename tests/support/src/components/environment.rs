//! The environment that a component is told by.

use std::time::Duration;

use crate::DataError;

/// Why a component does not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComponentError {
    #[error("`{name}` is missing")]
    Missing { name: &'static str },
    #[error("`{name}` is `{value}`, which is not {wanted}")]
    Value { name: &'static str, value: String, wanted: &'static str },
    #[error("cannot listen on port {port}: {source}")]
    Listen { port: u16, source: std::io::Error },
    #[error("cannot serve: {0}")]
    Serve(#[from] tonic::transport::Error),
    #[error("cannot register: {0}")]
    Register(#[from] tonic::Status),
    #[error("cannot use `{path}`: {source}")]
    File { path: String, source: std::io::Error },
    #[error("cannot read ledgers: {0}")]
    Ledgers(#[from] DataError),
    #[error("cannot use the database: {0}")]
    Database(#[from] tokio_postgres::Error),
    #[error("{0}")]
    Rules(String),
}

/// A variable's value; none where it is not set or empty.
pub(super) fn text(name: &'static str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The value of a variable that there has to be.
pub(super) fn needed(name: &'static str) -> Result<String, ComponentError> {
    text(name).ok_or(ComponentError::Missing { name })
}

/// A variable's whole number.
pub(super) fn number(name: &'static str) -> Result<Option<u64>, ComponentError> {
    let parse = |value: String| value.parse().map_err(|_| wrong(name, value, "a whole number"));
    text(name).map(parse).transpose()
}

/// Whether a variable is `1` or `true`.
pub(super) fn is_set(name: &'static str) -> bool {
    text(name).is_some_and(|value| value == "1" || value == "true")
}

/// The port that a variable names, with or without a host before it; 0 where it names none.
pub(super) fn port(name: &'static str) -> Result<u16, ComponentError> {
    let Some(value) = text(name) else { return Ok(0) };
    parse_port(&value).ok_or_else(|| wrong(name, value, "a port"))
}

/// The time that a variable names, else `default`.
pub(super) fn interval(name: &'static str, default: Duration) -> Result<Duration, ComponentError> {
    let Some(value) = text(name) else { return Ok(default) };
    parse_interval(&value).ok_or_else(|| wrong(name, value, "a duration such as `10s` or `500ms`"))
}

fn wrong(name: &'static str, value: String, wanted: &'static str) -> ComponentError {
    ComponentError::Value { name, value, wanted }
}

fn parse_port(value: &str) -> Option<u16> {
    value.rsplit(':').next()?.parse().ok()
}

fn parse_interval(value: &str) -> Option<Duration> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok().filter(|number| *number > 0)?;
    match &value[digits.len()..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" | "" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_may_stand_behind_a_host() {
        let found = ["50051", ":50051", "0.0.0.0:50051", "[::]:50051", "", "none"].map(parse_port);
        assert_eq!(found, [Some(50051), Some(50051), Some(50051), Some(50051), None, None]);
    }

    #[test]
    fn an_interval_has_its_unit_behind_it() {
        let found = ["10s", "500ms", "2m", "3", "0s", "1h", "s"].map(parse_interval);
        let [seconds, millis] = [Duration::from_secs, Duration::from_millis];
        assert_eq!(
            found,
            [Some(seconds(10)), Some(millis(500)), Some(seconds(120)), Some(seconds(3)), None, None, None]
        );
    }
}
