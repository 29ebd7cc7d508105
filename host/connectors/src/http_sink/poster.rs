//! Sends one request until the server has said what it does with it.

use std::time::Duration;

use flowctl_runtime::Fault;
use flowctl_types::units::duration_text;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::time::sleep;

use super::requests::Request;
use crate::http_client::{Answer, Client, Failure, Patience, Patient, StatusCode};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Most bytes that are read of an answer; only its first words are shown.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// Conflicts in a row before the request counts as refused. A server that is still at
/// work on a request that broke off says conflict to its repetition.
const MAX_CONFLICTS: u32 = 5;

/// What the server does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has it.
    Taken,
    /// It does not take these events, and says this.
    Refused(String),
}

/// What an answer means.
enum Outcome {
    Verdict(Verdict),
    /// The server may take it later.
    Later {
        reason: String,
        retry_after: Option<Duration>,
    },
    /// As later, but not for ever.
    Conflict(String),
}

/// Posts requests, one after the other.
pub(super) struct Poster {
    node: String,
    client: Client,
    give_up_after: Duration,
}

impl Poster {
    pub(super) const fn new(node: String, client: Client, give_up_after: Duration) -> Self {
        Self { node, client, give_up_after }
    }

    /// Sends `request` until there is a verdict.
    ///
    /// # Errors
    ///
    /// [`Fault::Fatal`] when no request can be taken, [`Fault::Retry`] when the server
    /// could not be asked for as long as it may take.
    pub(super) async fn post(&self, request: Request) -> Result<Verdict, Fault> {
        let mut patience = Patience::new(self.give_up_after);
        let mut n_conflicts = 0;
        loop {
            let (reason, retry_after, is_conflict) = match self.send(&request).await? {
                Outcome::Verdict(verdict) => return Ok(verdict),
                Outcome::Later { reason, retry_after } => (reason, retry_after, false),
                Outcome::Conflict(reason) => (reason, None, true),
            };
            n_conflicts = if is_conflict { n_conflicts + 1 } else { 0 };
            let next = patience.failed(retry_after);
            if is_conflict && (n_conflicts == MAX_CONFLICTS || matches!(next, Patient::GiveUp { .. })) {
                return Ok(Verdict::Refused(reason));
            }
            match next {
                Patient::Wait { wait, attempt } => {
                    tracing::warn!(
                        node = %self.node, n_events = request.n_events, error = %reason, attempt, ?wait,
                        "request is sent again"
                    );
                    sleep(wait).await;
                }
                Patient::GiveUp { attempts } => {
                    let after = duration_text(self.give_up_after);
                    let times = if attempts == 1 { "once".to_owned() } else { format!("{attempts} times in {after}") };
                    return Err(Fault::Retry(format!("a request was sent {times}, and {reason}")));
                }
            }
        }
    }

    async fn send(&self, request: &Request) -> Result<Outcome, Fault> {
        let key = HeaderValue::from_str(&request.key.0).expect("a key is hexadecimal");
        let headers =
            [(CONTENT_TYPE, HeaderValue::from_static(request.content_type)), (IDEMPOTENCY_KEY, key)].into_iter();
        match self.client.post(HeaderMap::from_iter(headers), request.body.clone()).await {
            Ok(answer) => self.outcome(answer).await,
            Err(failure @ Failure::Untrusted(_)) => Err(self.fatal(&failure.to_string())),
            Err(Failure::Passing(reason)) => {
                Ok(Outcome::Later { reason: format!("`{}`: {reason}", self.client.shown()), retry_after: None })
            }
        }
    }

    /// What the answer means. Its words matter where the request was not taken; there
    /// and elsewhere they may break off.
    async fn outcome(&self, answer: Answer) -> Result<Outcome, Fault> {
        let (status, retry_after, location) = (answer.status(), answer.retry_after(), answer.location());
        let said = self.client.read(answer, MAX_ANSWER_BYTES).await.map(|body| body.bytes).unwrap_or_default();
        if status.is_success() {
            return Ok(Outcome::Verdict(Verdict::Taken));
        }
        let words = match (location.filter(|_| status.is_redirection()), self.client.quote(&said)) {
            (Some(location), _) => format!("answered {status}: it is at `{location}` now, write that as `url`"),
            (None, words) if words.is_empty() => format!("answered {status}"),
            (None, words) => format!("answered {status}: {words}"),
        };
        if is_about_the_endpoint(status) {
            return Err(self.fatal(&words));
        }
        let reason = format!("`{}` {words}", self.client.shown());
        Ok(match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Outcome::Later { reason, retry_after }
            }
            StatusCode::CONFLICT => Outcome::Conflict(reason),
            _ if status.is_client_error() => Outcome::Verdict(Verdict::Refused(reason)),
            _ => Outcome::Later { reason, retry_after },
        })
    }

    fn fatal(&self, reason: &str) -> Fault {
        Fault::Fatal(format!("`{}` {reason}", self.client.shown()))
    }
}

/// Whether an answer says that no request whatsoever is taken.
fn is_about_the_endpoint(status: StatusCode) -> bool {
    const FINAL: [StatusCode; 11] = [
        StatusCode::UNAUTHORIZED,
        StatusCode::PAYMENT_REQUIRED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::NOT_ACCEPTABLE,
        StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        StatusCode::GONE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::MISDIRECTED_REQUEST,
        StatusCode::UPGRADE_REQUIRED,
    ];
    status.is_redirection() || FINAL.contains(&status)
}
