//! What a registry writes of the requests that it has answered.

use std::io::{BufRead, BufReader, PipeReader};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long the line of a request that was answered may take to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the requests begin with that only ask for a line.
const MARKER: &str = "/?marker=";

/// A request that a registry has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// `GET`, for instance.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The answer's status, such as 200.
    pub status: u16,
    /// The length of the answer's body in bytes.
    pub n_bytes: u64,
}

/// The requests so far.
#[derive(Debug, Default)]
pub(super) struct AccessLog {
    requests: Mutex<Vec<Logged>>,
    came: Condvar,
}

impl AccessLog {
    /// Reads lines until nobody is left that could write any.
    pub(super) fn follow(self: &Arc<Self>, lines: PipeReader) {
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            for line in BufReader::new(lines).split(b'\n').map_while(Result::ok) {
                if let Some(logged) = parse(&String::from_utf8_lossy(&line)) {
                    log.lock().push(logged);
                    log.came.notify_all();
                }
            }
        });
    }

    /// Waits for the request of the path `marker`, and answers all before it that were
    /// not to mark anything.
    pub(super) fn until(&self, marker: &str) -> Vec<Logged> {
        let is_late = |requests: &mut Vec<Logged>| requests.iter().all(|logged| logged.path != marker);
        let waited = self.came.wait_timeout_while(self.lock(), PATIENCE, is_late);
        let (requests, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "the registry does not log what it answers");
        let before = requests.iter().take_while(|logged| logged.path != marker);
        before.filter(|logged| !logged.path.starts_with(MARKER)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Logged>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a line of the "combined" format; none where it is something else.
fn parse(line: &str) -> Option<Logged> {
    let (_, rest) = line.split_once("] \"")?;
    let (request, rest) = rest.split_once("\" ")?;
    let mut words = request.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut numbers = rest.split(' ');
    Some(Logged { method, path, status: numbers.next()?.parse().ok()?, n_bytes: numbers.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_and_without_a_user() {
        let line = |user: &str| {
            format!(
                "127.0.0.1 - {user} [25/Nov/2026:04:00:00 +0000] \"GET /v2/a/tags/list?n=1 HTTP/1.1\" 404 12 \"\" \"me\""
            )
        };
        let logged = Logged { method: "GET".into(), path: "/v2/a/tags/list?n=1".into(), status: 404, n_bytes: 12 };
        assert_eq!(parse(&line("-")), Some(logged.clone()));
        assert_eq!(parse(&line("flowctl")), Some(logged));
        assert_eq!(parse("time=\"2026-11-25\" level=info"), None);
    }
}
