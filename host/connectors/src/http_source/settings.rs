//! What an operator may say of the source `http`, and its limits.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::NAME;
use crate::{ConnectorError, config};

/// The configuration, as WIT; [`Config`] is what it is read into.
pub(crate) const CONFIG: &str = "
/// Which events are taken, and where.
record config {
    /// The type of the events, such as `example.order.v1`.
    %type: string,
    /// The address to listen at. Beyond the own machine it needs a `token`. Port 0 takes
    /// a free one: the file `address` in the node's state folder has it while the
    /// pipeline runs. Default: `127.0.0.1:8081`.
    listen: option<string>,
    /// The path that events are posted to. `/healthz` is taken. Default: `/`.
    path: option<string>,
    /// What clients must send as `Authorization: Bearer TOKEN`. Default: nothing is
    /// asked of them.
    token: option<string>,
    /// What becomes of a request with events that are none of the type: `refuse` takes
    /// nothing of it and answers 400, `dead-letter` takes the others and makes these
    /// dead letters. Default: `refuse`.
    on-invalid: option<string>,
    /// Largest body of a request, in bytes, at most 1 GiB. Default: 16 MiB.
    max-body-bytes: option<u64>,
    /// Bytes of events that may wait to be taken by the sinks; what would pass that is
    /// answered 429. Default: 256 MiB.
    max-spool-bytes: option<u64>,
    /// Number of events that may wait. Default: 1,000,000.
    max-spool-events: option<u64>,
    /// Connections that may be open at once; more wait to be accepted. Default: 512.
    max-connections: option<u32>,
    /// Milliseconds that a client has to send the head of a request, and then its body,
    /// at most an hour. Default: 30,000.
    read-timeout-ms: option<u32>,
    /// How many values of the header `Idempotency-Key` are remembered, each from a
    /// request that was taken: the same request again is answered without being taken
    /// again. 0 takes no notice of the header. Default: 100,000.
    idempotency-keys: option<u32>,
    /// Seconds that they are remembered for. Default: 86,400, a day.
    idempotency-seconds: option<u32>,
}
";

const DEFAULT_LISTEN: &str = "127.0.0.1:8081";
pub(super) const HEALTH_PATH: &str = "/healthz";
/// Largest `max_body_bytes`.
const MAX_BODY_BYTES: u64 = 1 << 30;
/// Largest `read_timeout_ms`.
const MAX_TIMEOUT_MS: u32 = 3_600_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    r#type: String,
    listen: Option<String>,
    path: Option<String>,
    token: Option<Token>,
    on_invalid: Option<OnInvalid>,
    max_body_bytes: Option<u64>,
    max_spool_bytes: Option<u64>,
    max_spool_events: Option<u64>,
    max_connections: Option<u32>,
    read_timeout_ms: Option<u32>,
    idempotency_keys: Option<u32>,
    idempotency_seconds: Option<u32>,
}

/// The configuration, checked and with its defaults.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) listen: SocketAddr,
    pub(super) path: String,
    pub(super) token: Option<Token>,
    pub(super) on_invalid: OnInvalid,
    pub(super) max_body_bytes: usize,
    pub(super) max_connections: usize,
    /// For the head of a request, and again for its body.
    pub(super) read_timeout: Duration,
    pub(super) spool: SpoolLimits,
}

/// What the spool may hold at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpoolLimits {
    pub(super) n_bytes: u64,
    pub(super) n_events: u64,
    pub(super) n_keys: u64,
    pub(super) key_age: Duration,
}

/// What becomes of a request with events that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OnInvalid {
    Refuse,
    DeadLetter,
}

/// What a client must know. Never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Token(String);

impl Token {
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl Settings {
    /// Reads a configuration: the settings, and the name of the event type.
    pub(super) fn read(config: &Value) -> Result<(Self, String), ConnectorError> {
        let config: Config = config::read_value(NAME, config)?;
        let listen = config.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        let listen: SocketAddr = listen.parse().map_err(|_| {
            let reason = format!("is no address: `{listen}`; write IP:PORT, such as `{DEFAULT_LISTEN}`");
            ConnectorError::field(NAME, "listen", reason)
        })?;
        if config.token.is_none() && !listen.ip().to_canonical().is_loopback() {
            let reason = format!(
                "is `{listen}`, which others can reach, and there is no `token`: set one, or listen at 127.0.0.1"
            );
            return Err(ConnectorError::field(NAME, "listen", reason));
        }
        if let Some(Token(token)) = &config.token
            && (token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            let reason = "must be letters, digits and signs of ASCII, at least one, with no space or line break";
            return Err(ConnectorError::field(NAME, "token", reason));
        }
        let path = config.path.unwrap_or_else(|| "/".to_owned());
        if !is_path(&path) {
            let reason = format!(
                "is `{path}`: it must start with `/` and hold letters, digits, `/`, `-`, `_`, `.` and `~` only, and be another than `{HEALTH_PATH}`"
            );
            return Err(ConnectorError::field(NAME, "path", reason));
        }
        let max_body_bytes = number("max_body_bytes", config.max_body_bytes, 16 << 20, MAX_BODY_BYTES)?;
        let max_connections = number("max_connections", config.max_connections, 512, u32::MAX)?;
        let read_timeout = number("read_timeout_ms", config.read_timeout_ms, 30_000, MAX_TIMEOUT_MS)?;
        // the counts are kept in columns of signed numbers
        let largest = u64::MAX >> 1;
        let spool = SpoolLimits {
            n_bytes: number("max_spool_bytes", config.max_spool_bytes, 256 << 20, largest)?,
            n_events: number("max_spool_events", config.max_spool_events, 1_000_000, largest)?,
            n_keys: config.idempotency_keys.unwrap_or(100_000).into(),
            key_age: Duration::from_secs(config.idempotency_seconds.unwrap_or(86_400).into()),
        };
        let settings = Self {
            listen,
            path,
            token: config.token,
            on_invalid: config.on_invalid.unwrap_or(OnInvalid::Refuse),
            max_body_bytes: max_body_bytes as usize,
            max_connections: max_connections as usize,
            read_timeout: Duration::from_millis(read_timeout.into()),
            spool,
        };
        Ok((settings, config.r#type))
    }
}

/// A limit from 1 to `most`.
fn number<N>(field: &'static str, found: Option<N>, default: N, most: N) -> Result<N, ConnectorError>
where
    N: Copy + PartialOrd + From<u8> + fmt::Display,
{
    let found = found.unwrap_or(default);
    if found < N::from(1) || found > most {
        return Err(ConnectorError::field(NAME, field, format!("is {found}: it must be from 1 to {most}")));
    }
    Ok(found)
}

fn is_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    path.starts_with('/') && path != HEALTH_PATH && path.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown() {
        let token: Token = serde_json::from_str(r#""hunter2""#).unwrap();
        assert_eq!(format!("{token:?}"), "Token");
        assert_eq!(token.bytes(), b"hunter2");
    }
}
