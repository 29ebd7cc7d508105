//! How long a call may take until it begins to answer.
//!
//! The caller's `grpc-timeout` holds, and a limit of the control plane's own where it is
//! longer or missing. A stream that has begun ends with what it shows.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::timeout;
use tonic::Status;

/// For any call: planning a pipeline may fetch and compile plugins.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// The layer.
pub(crate) async fn limit(request: Request, next: Next) -> Response {
    let limit = wanted(request.headers()).map_or(LIMIT, |wanted| wanted.min(LIMIT));
    match timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Status::deadline_exceeded("the call took longer than its deadline").into_http::<Body>(),
    }
}

/// What `grpc-timeout` says: up to 8 digits and a unit.
fn wanted(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        let read = |text: &'static str| {
            wanted(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]))
        };
        assert_eq!(read("3S"), Some(Duration::from_secs(3)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
        for text in ["", "S", "-1S", "1", "100000000S", "1x"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
