//! The calls of a Stellar RPC server that the source needs: JSON-RPC 2.0 by POST.
//!
//! Invariant: an answer is never larger in memory than its bound.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::page::{self, Page, Wanted};
use crate::background::on_deep_stack;
use crate::http_client::{Client, Failure, StatusCode};

/// Largest answer that is no page of ledgers. `getLatestLedger` has a ledger in it.
const MAX_SMALL_ANSWER_BYTES: usize = 64 << 20;
/// Most bytes that are read of an answer that is an error of HTTP.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// A request that the server does not take as it is.
pub(super) const INVALID_REQUEST: i64 = -32_600;
/// A method that the server does not know.
pub(super) const UNKNOWN_METHOD: i64 = -32_601;
/// Parameters that the server does not take.
pub(super) const INVALID_PARAMETERS: i64 = -32_602;

/// A server.
pub(super) struct Server {
    client: Client,
    max_answer_bytes: usize,
    n_calls: u64,
}

/// From where on a page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// This ledger.
    Ledger(u32),
    /// Where the page ended that came with this cursor.
    Cursor(String),
}

/// The ledgers that a server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) oldest: u32,
    pub(super) latest: u32,
}

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallError {
    /// It may go away by itself.
    Passing { reason: String, retry_after: Option<Duration> },
    /// The server answered with an error of JSON-RPC.
    Refused { code: i64, message: String },
    /// The answer is none of JSON-RPC: something stands before the server, or it broke.
    Unreadable(String),
    /// The answer is larger than `max_answer`.
    TooLarge,
    /// Asking again would not help.
    Final(String),
}

#[derive(Deserialize)]
struct Health {
    #[serde(rename = "oldestLedger")]
    oldest: u32,
    #[serde(rename = "latestLedger")]
    latest: u32,
}

#[derive(Deserialize)]
struct Network {
    passphrase: String,
}

#[derive(Deserialize)]
struct Latest {
    sequence: u32,
}

impl Server {
    pub(super) const fn new(client: Client, max_answer_bytes: usize) -> Self {
        Self { client, max_answer_bytes, n_calls: 0 }
    }

    /// Asks for at most `limit` ledgers, and checks them against `wanted`.
    pub(super) async fn ledgers(&mut self, from: &From, limit: u32, wanted: Wanted) -> Result<Page, CallError> {
        let params = match from {
            From::Ledger(sequence) => json!({"startLedger": sequence, "pagination": {"limit": limit}}),
            From::Cursor(cursor) => json!({"pagination": {"cursor": cursor, "limit": limit}}),
        };
        let body = self.post("getLedgers", with_format(params), self.max_answer_bytes).await?;
        // tens of megabytes of JSON and base64 are no work for a thread that others wait for
        match on_deep_stack(move || page::read(&body, wanted)).await {
            Ok(page) => page.map_err(|error| self.cleaned(error)),
            Err(fault) => Err(CallError::Final(format!("gave an answer that could not be read: {fault}"))),
        }
    }

    /// The ledgers that the server says it has. It may have older ones elsewhere, so
    /// that nothing is refused by this alone.
    pub(super) async fn range(&mut self) -> Result<Range, CallError> {
        match self.call::<Health>("getHealth", json!({})).await {
            Ok(Health { oldest, latest }) => return Ok(Range { oldest, latest }),
            // it calls itself unhealthy, or is too old to say
            Err(CallError::Refused { .. } | CallError::Unreadable(_)) => {}
            Err(error) => return Err(error),
        }
        let Latest { sequence } = self.call("getLatestLedger", json!({})).await?;
        let wanted = Wanted { next: sequence, previous_hash: None };
        let page = self.ledgers(&From::Ledger(sequence), 1, wanted).await?;
        let latest = page.latest.unwrap_or(sequence).max(sequence);
        Ok(Range { oldest: page.oldest.unwrap_or(latest), latest })
    }

    /// The passphrase of the server's network.
    pub(super) async fn network(&mut self) -> Result<String, CallError> {
        self.call::<Network>("getNetwork", json!({})).await.map(|network| network.passphrase)
    }

    async fn call<T: DeserializeOwned>(&mut self, method: &'static str, params: Value) -> Result<T, CallError> {
        let body = self.post(method, params, MAX_SMALL_ANSWER_BYTES).await?;
        result(&body).map_err(|error| self.cleaned(error))
    }

    async fn post(&mut self, method: &'static str, params: Value, max_bytes: usize) -> Result<Vec<u8>, CallError> {
        self.n_calls += 1;
        let call = json!({"jsonrpc": "2.0", "id": self.n_calls, "method": method, "params": params});
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let answer = self.client.post(headers, Bytes::from(call.to_string())).await.map_err(failed)?;
        let (status, retry_after, location) = (answer.status(), answer.retry_after(), answer.location());
        if status.is_success() {
            let body = self.client.read(answer, max_bytes).await.map_err(failed)?;
            return if body.is_cut { Err(CallError::TooLarge) } else { Ok(body.bytes) };
        }
        // whether its words come to their end does not matter
        let said = self.client.read(answer, MAX_ERROR_BYTES).await.map(|body| body.bytes).unwrap_or_default();
        let reason = match self.client.quote(&said) {
            words if words.is_empty() => format!("answered {status}"),
            words => format!("answered {status}: {words}"),
        };
        Err(match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                CallError::Passing { reason, retry_after }
            }
            _ if status.is_server_error() => CallError::Passing { reason, retry_after },
            _ if status.is_redirection() => CallError::Final(match location {
                Some(location) => format!("answered {status}: it is at `{location}` now, write that as `url`"),
                None => reason,
            }),
            _ => match result::<Value>(&said) {
                Err(refused @ CallError::Refused { .. }) => self.cleaned(refused),
                _ => CallError::Final(reason),
            },
        })
    }

    /// `error` with the server's words fit for a message.
    fn cleaned(&self, error: CallError) -> CallError {
        match error {
            CallError::Refused { code, message } => {
                CallError::Refused { code, message: self.client.quote(message.as_bytes()) }
            }
            other => other,
        }
    }
}

impl CallError {
    pub(super) fn passing(reason: impl Into<String>) -> Self {
        Self::Passing { reason: reason.into(), retry_after: None }
    }
}

/// Takes the result out of an answer.
///
/// # Errors
///
/// [`CallError::Refused`] where there is an error in its place, or
/// [`CallError::Unreadable`].
pub(super) fn result<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, CallError> {
    #[derive(Deserialize)]
    struct Envelope<T> {
        result: Option<T>,
        error: Option<Refusal>,
    }
    #[derive(Deserialize)]
    struct Refusal {
        code: i64,
        message: String,
    }
    match serde_json::from_slice(body) {
        Ok(Envelope { error: Some(Refusal { code, message }), .. }) => Err(CallError::Refused { code, message }),
        Ok(Envelope { result: Some(result), .. }) => Ok(result),
        Ok(_) => Err(CallError::Unreadable("its answer has neither result nor error".to_owned())),
        Err(error) => Err(CallError::Unreadable(format!("its answer cannot be read: {error}"))),
    }
}

fn with_format(mut params: Value) -> Value {
    params["xdrFormat"] = "base64".into();
    params
}

fn failed(failure: Failure) -> CallError {
    match failure {
        Failure::Passing(reason) => CallError::passing(reason),
        Failure::Untrusted(_) => CallError::Final(failure.to_string()),
    }
}
