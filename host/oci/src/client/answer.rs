//! Answers of registries: heads and bodies in bounded time and size, and what statuses mean.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;

use super::patience::{Trouble, retry_after};
use super::{Ask, SILENCE};
use crate::OciError;

/// Longest refusal that is read.
const MAX_REFUSAL_BYTES: u64 = 64 << 10;
/// Most characters of a registry's own words in a message.
const MAX_QUOTE_CHARS: usize = 300;

/// The head of an answer; its body is still to be read.
pub(super) struct Answer(reqwest::Response);

/// What the distribution specification has registries say when they refuse.
#[derive(Deserialize)]
struct Refusal {
    errors: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: Option<String>,
}

impl Answer {
    /// Sends a request, and waits for the head of its answer.
    pub(super) async fn of(request: RequestBuilder, ask: &Ask<'_>) -> Result<Self, Trouble> {
        match tokio::time::timeout(SILENCE, request.send()).await {
            Ok(Ok(response)) => Ok(Self(response)),
            Ok(Err(error)) => Err(failure(ask, &error)),
            Err(_) => Err(silence(ask)),
        }
    }

    pub(super) fn wrap(response: reqwest::Response) -> Self {
        Self(response)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// How long the body is said to be.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.0.content_length()
    }

    /// Where the answer came from, after redirects.
    pub(super) fn url(&self) -> &reqwest::Url {
        self.0.url()
    }

    /// The next part of the body; none at its end.
    pub(super) async fn chunk(&mut self, ask: &Ask<'_>) -> Result<Option<Bytes>, Trouble> {
        match tokio::time::timeout(SILENCE, self.0.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| failure(ask, &error)),
            Err(_) => Err(silence(ask)),
        }
    }

    /// Reads the body, of at most `max_bytes`.
    pub(super) async fn read(mut self, ask: &Ask<'_>, max_bytes: u64) -> Result<Bytes, Trouble> {
        let too_large = || OciError::TooLarge { what: ask.what.to_owned(), limit_bytes: max_bytes };
        if self.content_length().is_some_and(|announced| announced > max_bytes) {
            return Err(too_large().into());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(ask).await? {
            if (bytes.len() + chunk.len()) as u64 > max_bytes {
                return Err(too_large().into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.into())
    }

    /// Lets success through, and says what any other status means.
    pub(super) async fn accept(self, ask: &Ask<'_>) -> Result<Self, Trouble> {
        let status = self.status();
        if status.is_success() {
            return Ok(self);
        }
        let asked: Option<Duration> =
            self.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(retry_after);
        let reason = self.refusal(ask).await;
        let (registry, repository) = (ask.registry(), ask.reference.repository().to_owned());
        let may_pass = matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504);
        let status = status.as_u16();
        let error = match status {
            401 | 403 => OciError::Unauthorized { registry, repository, reason },
            404 => OciError::NotFound { registry, repository, what: ask.what.to_owned() },
            _ if may_pass || status >= 500 => OciError::Failing { registry, status, reason },
            _ => OciError::Refused { registry, status, reason },
        };
        Err(Trouble { error, may_pass, retry_after: asked })
    }

    /// What the registry says, fit for a message.
    async fn refusal(mut self, ask: &Ask<'_>) -> String {
        let status = self.status();
        let mut said = Vec::new();
        while let Ok(Some(chunk)) = self.chunk(ask).await {
            said.extend_from_slice(&chunk);
            if said.len() as u64 > MAX_REFUSAL_BYTES {
                break;
            }
        }
        let words = match serde_json::from_slice::<Refusal>(&said) {
            Ok(Refusal { errors }) => {
                let said = errors.into_iter().take(4).map(|Reason { code, message }| match message {
                    Some(message) if !message.is_empty() => message,
                    _ => code.to_lowercase(),
                });
                said.collect::<Vec<_>>().join("; ")
            }
            Err(_) => String::from_utf8_lossy(&said).into_owned(),
        };
        match quote(&words) {
            words if words.is_empty() => status.canonical_reason().unwrap_or("no reason given").to_lowercase(),
            words => words,
        }
    }
}

/// Words of a peer on one short line.
pub(super) fn quote(words: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !c.is_whitespace();
    let line = words.split(|c| !is_plain(c)).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_QUOTE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// What a request that failed means.
pub(super) fn failure(ask: &Ask<'_>, error: &reqwest::Error) -> Trouble {
    let registry = ask.registry();
    if let Some(reason) = distrust(error) {
        return OciError::Untrusted { registry, reason }.into();
    }
    if is_plain(error) {
        let reason = "it does not speak TLS".to_owned();
        return OciError::Unreachable { registry, reason }.into();
    }
    let reason = match error {
        _ if error.is_redirect() => {
            let reason = root(error);
            return OciError::Content { registry, what: ask.what.to_owned(), reason }.into();
        }
        _ if error.is_connect() => format!("cannot connect: {}", root(error)),
        _ if error.is_body() || error.is_decode() => format!("its answer broke off: {}", root(error)),
        _ => format!("the request failed: {}", root(error)),
    };
    Trouble::passing(OciError::Unreachable { registry, reason })
}

fn silence(ask: &Ask<'_>) -> Trouble {
    let reason = format!("nothing came for {} s", SILENCE.as_secs());
    Trouble::passing(OciError::Unreachable { registry: ask.registry(), reason })
}

/// Whether the peer's certificate was refused.
pub(super) fn is_distrust(error: &reqwest::Error) -> bool {
    distrust(error).is_some()
}

/// Whether the peer answered a greeting of TLS with something else.
fn is_plain(error: &(dyn Error + 'static)) -> bool {
    let find = |error: &rustls::Error| {
        let is_other = matches!(error, rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
        is_other.then_some(())
    };
    tls_error(error, &find).is_some()
}

fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    tls_error(error, &|error| match error {
        rustls::Error::InvalidCertificate(reason) => Some(reason.to_string()),
        _ => None,
    })
}

/// Looks for an error of TLS among the causes of one.
fn tls_error<T>(error: &(dyn Error + 'static), find: &dyn Fn(&rustls::Error) -> Option<T>) -> Option<T> {
    if let Some(found) = error.downcast_ref::<rustls::Error>() {
        return find(found);
    }
    // `source` of such an error is that of what it wraps, so ask for the latter first
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => tls_error(wrapped, find),
        None => error.source().and_then(|source| tls_error(source, find)),
    }
}

/// The innermost cause: what the system or TLS said. URLs stand further out.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    match inner.downcast_ref::<reqwest::Error>() {
        Some(_) => "no cause is known".to_owned(),
        None => inner.to_string(),
    }
}
