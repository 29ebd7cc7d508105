//! Which requests a fault befalls, and what it is.

use std::sync::Arc;

use tokio::sync::watch;

/// What befalls a request. Counts are of bytes of a body, from its start as it is sent:
/// of a part of a blob, from the part's start.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Fault {
    /// The server is not asked; this is the answer.
    Answer {
        /// The status, such as 500.
        status: u16,
        /// Headers beside `Content-Length`.
        headers: Vec<(&'static str, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// The connection is reset without an answer; the server is not asked.
    Reset,
    /// The connection is reset once this much of the request's body has come; the server
    /// is not asked.
    ResetUpload {
        /// How much.
        after: u64,
    },
    /// The connection is closed once this much of the answer's body was sent. A body that
    /// is no longer comes whole.
    Cut {
        /// How much.
        after: u64,
    },
    /// The connection is reset once this much of the answer's body was sent. The client
    /// may get less.
    ResetBody {
        /// How much.
        after: u64,
    },
    /// The server's answer comes with other bytes at this place, as many as before.
    Replace {
        /// Where they begin.
        at: u64,
        /// The bytes.
        with: Vec<u8>,
    },
    /// The server is asked once the gate opens.
    Hold(Gate),
    /// The answer's body stops at this place until the gate opens.
    Stall {
        /// How much is sent before.
        after: u64,
        /// What opens.
        gate: Gate,
    },
}

impl Fault {
    /// An answer of this status, as an overloaded or broken server gives it.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: b"of a test\n".to_vec() }
    }

    /// An answer of the status 429 that says when to come again, in seconds.
    #[must_use]
    pub fn too_many(retry_after: u32) -> Self {
        Self::Answer { status: 429, headers: vec![("Retry-After", retry_after.to_string())], body: Vec::new() }
    }
}

/// A fault, and the requests that it befalls: all, unless told otherwise.
#[derive(Debug, Clone)]
pub struct Rule {
    fault: Fault,
    method: Option<String>,
    path_part: String,
    n_spared: usize,
    n_times: Option<usize>,
}

impl Rule {
    /// A fault that befalls each request.
    #[must_use]
    pub const fn new(fault: Fault) -> Self {
        Self { fault, method: None, path_part: String::new(), n_spared: 0, n_times: None }
    }

    /// Only requests of this method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self { method: Some(method.to_owned()), ..self }
    }

    /// Only requests whose path with its query contains this, such as `/blobs/`.
    #[must_use]
    pub fn path(self, part: &str) -> Self {
        Self { path_part: part.to_owned(), ..self }
    }

    /// Not the first `n_requests` of those that match.
    #[must_use]
    pub const fn after(mut self, n_requests: usize) -> Self {
        self.n_spared = n_requests;
        self
    }

    /// Only so many of those that match; then the rule is used up.
    #[must_use]
    pub const fn times(mut self, n_requests: usize) -> Self {
        self.n_times = Some(n_requests);
        self
    }

    fn befalls(&mut self, method: &str, path: &str) -> bool {
        let is_meant = self.method.as_deref().is_none_or(|wanted| wanted == method) && path.contains(&self.path_part);
        if !is_meant || self.n_times == Some(0) {
            return false;
        }
        if self.n_spared > 0 {
            self.n_spared -= 1;
            return false;
        }
        self.n_times = self.n_times.map(|left| left - 1);
        true
    }
}

/// The fault of the first rule that befalls a request.
pub(super) fn first(rules: &mut [Rule], method: &str, path: &str) -> Option<Fault> {
    rules.iter_mut().find_map(|rule| rule.befalls(method, path).then(|| rule.fault.clone()))
}

/// Something that requests wait for until the test opens it. Clones are one gate.
#[derive(Debug, Clone)]
pub struct Gate {
    is_open: Arc<watch::Sender<bool>>,
    n_waited: Arc<watch::Sender<usize>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// A gate that is shut.
    #[must_use]
    pub fn new() -> Self {
        Self { is_open: Arc::new(watch::Sender::new(false)), n_waited: Arc::new(watch::Sender::new(0)) }
    }

    /// Lets all pass, and who comes later too.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }

    /// Waits until `n_requests` have come to the gate, since it was made.
    pub async fn was_reached(&self, n_requests: usize) {
        // both ends are here: it does not close
        let _ = self.n_waited.subscribe().wait_for(|n_waited| *n_waited >= n_requests).await;
    }

    pub(super) async fn pass(&self) {
        self.n_waited.send_modify(|n_waited| *n_waited += 1);
        let _ = self.is_open.subscribe().wait_for(|is_open| *is_open).await;
    }
}
