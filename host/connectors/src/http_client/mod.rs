//! The HTTP client that connectors share: one endpoint, requests by POST, answers of
//! bounded size.
//!
//! Invariant: no error and no log of it holds a secret. The endpoint is shown without
//! user, query and what looks like a key in its path ([`Address`]); headers are never
//! shown; what a server says is cut short and scrubbed of both ([`Client::quote`]).
//! Redirects are not followed and proxies of the environment are not used: requests go
//! where the configuration says. Left out: when to ask again, which is [`Patience`].

mod address;
mod headers;
mod patience;
mod tls;

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
pub(crate) use reqwest::StatusCode;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect;

pub(crate) use self::address::Address;
pub(crate) use self::headers::Header;
pub(crate) use self::patience::{Patience, Patient};
use crate::base_dir::BaseDir;
use crate::reach::Reach;
use crate::{ConnectorError, Pipeline};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most characters of a server's own words in a message.
const MAX_QUOTE_CHARS: usize = 300;

/// What a client is made of.
pub(crate) struct ClientSettings {
    /// The connector that errors of the settings name.
    pub(crate) connector: &'static str,
    /// The setting `url`.
    pub(crate) url: String,
    /// The setting `headers`.
    pub(crate) headers: Vec<Header>,
    /// The setting `ca_file`: certificates to trust beside those of the system.
    pub(crate) ca_file: Option<PathBuf>,
    /// Longest time from the start of a request to the end of its answer.
    pub(crate) timeout: Duration,
}

/// Sends requests to one endpoint. Connections are kept and used again.
pub(crate) struct Client {
    http: reqwest::Client,
    address: Address,
    headers: HeaderMap,
    /// What is taken out of a server's words.
    secrets: Vec<String>,
    timeout: Duration,
}

/// The head of an answer; its body is still to be read.
pub(crate) struct Answer(reqwest::Response);

/// The body of an answer.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// Whether there was more than was to be read.
    pub(crate) is_cut: bool,
}

/// Why there is no answer, or none to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// It may go away by itself: a server that is down, a connection that broke.
    #[error("{0}")]
    Passing(String),
    /// The server has no certificate that is trusted here.
    #[error("its certificate is not trusted: {0}; name the authority that signed it in `ca_file`")]
    Untrusted(String),
}

impl ClientSettings {
    /// Whether a client can be made of them, as far as that can be told without reading
    /// a file.
    ///
    /// # Errors
    ///
    /// [`ConnectorError`] that names the setting that cannot be used.
    pub(crate) fn check(&self) -> Result<(), ConnectorError> {
        self.parts().map(drop)
    }

    /// The same, with the file of certificates where `pipeline` has it.
    pub(crate) fn at(self, pipeline: &Pipeline) -> Self {
        Self { ca_file: self.ca_file.map(|path| pipeline.path(path)), ..self }
    }

    /// What a client of these settings touches.
    ///
    /// # Errors
    ///
    /// [`ConnectorError`] that names the setting that cannot be used.
    pub(crate) fn reach(&self, base: BaseDir<'_>) -> Result<Reach, ConnectorError> {
        let (address, ..) = self.parts()?;
        let reads = self.ca_file.iter().map(|path| base.reached(path)).collect();
        Ok(Reach { reads, dials: vec![address.host_and_port()], ..Reach::default() })
    }

    /// Where requests go, what goes with each, and what of both must not be shown.
    fn parts(&self) -> Result<(Address, HeaderMap, Vec<String>), ConnectorError> {
        let address = Address::parse(self.connector, &self.url)?;
        if self.ca_file.is_some() && !address.is_secure() {
            let reason = "stands beside a `url` without TLS: write `https://`, or leave it out";
            return Err(ConnectorError::field(self.connector, "ca_file", reason));
        }
        let (headers, mut secrets) = headers::read(self.connector, &self.headers, address.has_user())?;
        secrets.extend(address.secrets());
        Ok((address, headers, secrets))
    }
}

impl Client {
    /// Makes a client ready. Reads the certificates; connects to nothing.
    ///
    /// # Errors
    ///
    /// [`ConnectorError`] that names the setting that cannot be used.
    pub(crate) fn new(settings: ClientSettings) -> Result<Self, ConnectorError> {
        let (address, headers, secrets) = settings.parts()?;
        let ClientSettings { connector, ca_file, timeout, .. } = settings;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::config(connector, address.is_secure(), ca_file.as_deref())?)
            .user_agent(concat!("flowctl/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .build()
            .map_err(|error| ConnectorError::field(connector, "url", format!("cannot be used: {}", root(&error))))?;
        Ok(Self { http, address, headers, secrets, timeout })
    }

    /// The endpoint, without its secrets.
    pub(crate) fn shown(&self) -> &str {
        self.address.shown()
    }

    /// Posts `body` with `headers` beside the configured ones, and waits for the head
    /// of the answer.
    pub(crate) async fn post(&self, headers: HeaderMap, body: Bytes) -> Result<Answer, Failure> {
        let request = self.http.post(self.address.url()).headers(headers).headers(self.headers.clone()).body(body);
        request.send().await.map(Answer).map_err(|error| self.failure(&error))
    }

    /// Reads the body of `answer`, no further than `max_bytes`.
    pub(crate) async fn read(&self, answer: Answer, max_bytes: usize) -> Result<Body, Failure> {
        let Answer(mut response) = answer;
        let announced = response.content_length().unwrap_or_default();
        let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(max_bytes).min(max_bytes));
        while let Some(part) = response.chunk().await.map_err(|error| self.failure(&error))? {
            let n_taken = part.len().min(max_bytes - bytes.len());
            bytes.extend_from_slice(&part[..n_taken]);
            if n_taken < part.len() {
                return Ok(Body { bytes, is_cut: true });
            }
        }
        Ok(Body { bytes, is_cut: false })
    }

    /// What a server said, fit for a message: short, on one line, without secrets.
    pub(crate) fn quote(&self, said: &[u8]) -> String {
        let mut text = String::from_utf8_lossy(said).into_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), "…");
        }
        let is_plain = |c: char| !c.is_control() && !c.is_whitespace();
        let words = text.split(|c| !is_plain(c)).filter(|word| !word.is_empty());
        let line = words.collect::<Vec<_>>().join(" ");
        match line.char_indices().nth(MAX_QUOTE_CHARS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line,
        }
    }

    fn failure(&self, error: &reqwest::Error) -> Failure {
        if let Some(reason) = distrust(error) {
            return Failure::Untrusted(reason);
        }
        Failure::Passing(match error {
            _ if error.is_connect() => format!("cannot connect: {}", root(error)),
            _ if error.is_timeout() => format!("no answer within {:?}", self.timeout),
            _ if error.is_body() || error.is_decode() => format!("its answer broke off: {}", root(error)),
            _ => format!("the request failed: {}", root(error)),
        })
    }
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// How long the server asks to be left alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        patience::retry_after(self.0.headers().get(RETRY_AFTER)?.to_str().ok()?)
    }

    /// Where the server says that the endpoint is now, without its secrets.
    pub(crate) fn location(&self) -> Option<String> {
        let target = self.0.headers().get(LOCATION)?.to_str().ok()?;
        self.0.url().join(target).ok().map(|url| address::shown(&url))
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

/// Why the server's certificate was refused, if that is what happened.
fn distrust(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref::<rustls::Error>() {
        return Some(reason.to_string());
    }
    // `source` of such an error is that of what it wraps, so ask for the latter first
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    match wrapped {
        Some(wrapped) => distrust(wrapped),
        None => error.source().and_then(distrust),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(url: &str) -> Client {
        let header = Header { name: "Authorization".into(), value: "Bearer token-1".into() };
        let settings = ClientSettings {
            connector: "http",
            url: url.into(),
            headers: vec![header],
            ca_file: None,
            timeout: Duration::from_secs(1),
        };
        Client::new(settings).unwrap()
    }

    #[test]
    fn what_a_server_says_is_one_short_line_without_secrets() {
        let client = client("http://example.org/a?key=opensesame");
        let check = |said: &[u8], want: &str| assert_eq!(client.quote(said), want);
        check(b"no\r\n\x1b[31mgood\0", "no [31mgood");
        check(b"who is token-1 at /a?key=opensesame", "who is … at /a?key=…");
        check(b"", "");
        check(&[b'x'; 1000], &format!("{}…", "x".repeat(MAX_QUOTE_CHARS)));
        check(b"\xff", "\u{fffd}");
    }
}
