//! What a client is answered: a small JSON object.
//!
//! Invariant: an answer tells nothing of this machine but what the client sent and what
//! the limits are.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::events::{Invalid, Unreadable};
use super::spool::{Receipt, Refusal};

/// Seconds after which a client may try again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A status, what is said with it, and a header of its own.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Value,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Answer {
    fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, header: None }
    }

    fn error(status: StatusCode, text: impl Into<String>) -> Self {
        Self::new(status, json!({ "error": text.into() }))
    }

    fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { header: Some((name, value)), ..self }
    }

    fn later(status: StatusCode, text: impl Into<String>) -> Self {
        Self::error(status, text).with(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    pub(super) fn is_well() -> Self {
        Self::new(StatusCode::OK, json!({ "status": "ok" }))
    }

    /// Events were taken. `shown` are those that became dead letters, the first of them.
    pub(super) fn taken(receipt: Receipt, shown: &[Invalid]) -> Self {
        let Receipt { n_accepted, n_dead_lettered, is_repeated } = receipt;
        let mut body = json!({ "accepted": n_accepted });
        if n_dead_lettered > 0 {
            body["dead_lettered"] = n_dead_lettered.into();
            body["invalid"] = json!(shown);
        }
        if is_repeated {
            body["repeated"] = true.into();
        }
        Self::new(StatusCode::OK, body)
    }

    pub(super) fn unreadable(fault: Unreadable) -> Self {
        match fault {
            Unreadable::NoJson(invalid) => Self::new(
                StatusCode::BAD_REQUEST,
                json!({ "error": "the body is no JSON; nothing was taken", "invalid": [invalid] }),
            ),
            Unreadable::Invalid { n_invalid, shown } => {
                let error = format!("invalid events: {n_invalid}; nothing was taken");
                Self::new(StatusCode::BAD_REQUEST, json!({ "error": error, "n_invalid": n_invalid, "invalid": shown }))
            }
            Unreadable::TooLarge => Self::too_many(),
        }
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full { n_waiting } => Self::later(
                StatusCode::TOO_MANY_REQUESTS,
                format!("the queue is full: {n_waiting} events wait; try again"),
            ),
            Refusal::TooLarge => Self::too_many(),
            Refusal::KeyReused => Self::error(
                StatusCode::UNPROCESSABLE_ENTITY,
                "the `Idempotency-Key` is that of a request with another body; nothing was taken",
            ),
            Refusal::DiskFull => Self::later(StatusCode::INSUFFICIENT_STORAGE, "the disk is full; nothing was taken"),
            Refusal::Failed => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, "events cannot be stored; nothing was taken")
            }
        }
    }

    pub(super) fn busy() -> Self {
        Self::later(StatusCode::TOO_MANY_REQUESTS, "too many bytes of other requests are under way; try again")
    }

    pub(super) fn stopping() -> Self {
        Self::later(StatusCode::SERVICE_UNAVAILABLE, "the pipeline stops; nothing was taken")
    }

    pub(super) fn too_large(max_bytes: usize) -> Self {
        Self::error(StatusCode::PAYLOAD_TOO_LARGE, format!("the body has more than {max_bytes} bytes"))
    }

    fn too_many() -> Self {
        Self::error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the events of this request are more than can ever wait at once: send fewer",
        )
    }

    pub(super) fn too_slow() -> Self {
        Self::error(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")
    }

    pub(super) fn broken_body() -> Self {
        Self::error(StatusCode::BAD_REQUEST, "the body broke off")
    }

    pub(super) fn bad_key() -> Self {
        Self::error(StatusCode::BAD_REQUEST, "`Idempotency-Key` must have 1 to 255 visible characters of ASCII")
    }

    pub(super) fn unauthorized() -> Self {
        Self::error(StatusCode::UNAUTHORIZED, "send `Authorization: Bearer TOKEN` with the token of this pipeline")
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    pub(super) fn wrong_type() -> Self {
        Self::error(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send `Content-Type: application/json` or `application/x-ndjson`, without `Content-Encoding`",
        )
    }

    pub(super) fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "there is nothing at this path")
    }

    pub(super) fn wrong_method(allowed: &'static str) -> Self {
        Self::error(StatusCode::METHOD_NOT_ALLOWED, format!("only {allowed} is possible here"))
            .with(ALLOW, HeaderValue::from_static(allowed))
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body.to_string()));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response.headers_mut().extend(self.header);
        response
    }
}
