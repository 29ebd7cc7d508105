//! What is done about a server that fails, and about answers that are in doubt.

use std::time::Duration;

use flowctl_runtime::Fault;
use flowctl_types::units::duration_text;
use tokio::time::{Instant, sleep};

use super::calls::{CallError, UNKNOWN_METHOD};
use crate::http_client::{Patience, Patient};

/// Answers in a row that may be in doubt; the next one ends the source.
const MAX_DOUBTS: u32 = 5;
/// Longest wait before a doubtful answer is asked for again.
const LONGEST_DOUBT: Duration = Duration::from_secs(30);

/// Keeps count of what goes wrong.
pub(super) struct Trouble {
    /// The node, for logs.
    node: String,
    /// Where the server is, without secrets.
    shown: String,
    patience: Patience,
    failing_since: Option<Instant>,
    n_doubts: u32,
}

impl Trouble {
    pub(super) const fn new(node: String, shown: String, patience: Patience) -> Self {
        Self { node, shown, patience, failing_since: None, n_doubts: 0 }
    }

    /// The server answered as it should.
    pub(super) fn is_over(&mut self) {
        self.n_doubts = 0;
        self.failing_since = None;
        let n_failures = self.patience.succeeded();
        if n_failures > 0 {
            tracing::info!(node = %self.node, server = %self.shown, n_failures, "server answers again");
        }
    }

    /// Waits until a call that failed may be repeated.
    ///
    /// # Errors
    ///
    /// [`Fault::Fatal`] when it would not help, or has been tried for long enough.
    pub(super) async fn wait_out(&mut self, error: CallError) -> Result<(), Fault> {
        let (reason, retry_after) = match error {
            CallError::Passing { reason, retry_after } => (reason, retry_after),
            CallError::Unreadable(reason) => (reason, None),
            CallError::Refused { code: UNKNOWN_METHOD, message } => {
                let reason = format!("is no Stellar RPC server of version 22.1 or later: {message}");
                return Err(self.fatal(reason));
            }
            CallError::Refused { code, message } => (format!("answered with error {code}: {message}"), None),
            CallError::TooLarge => return Err(self.fatal("gave an answer that is larger than `max_answer`")),
            CallError::Final(reason) => return Err(self.fatal(reason)),
        };
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        match self.patience.failed(retry_after) {
            Patient::Wait { wait, attempt } => {
                tracing::warn!(
                    node = %self.node, server = %self.shown, error = %reason, attempt, wait = ?wait,
                    "server is asked again"
                );
                sleep(wait).await;
                Ok(())
            }
            Patient::GiveUp { attempts } => {
                let failing_for = duration_text(Duration::from_secs(since.elapsed().as_secs()));
                Err(self
                    .fatal(format!("has failed {attempts} times in a row, for {failing_for}; the last time: {reason}")))
            }
        }
    }

    /// Waits until an answer that is in doubt may be asked for again: `first`, and twice
    /// as long each time.
    ///
    /// # Errors
    ///
    /// [`Fault::Fatal`] when it stays in doubt.
    pub(super) async fn doubt(&mut self, reason: String, first: Duration) -> Result<(), Fault> {
        if self.n_doubts == MAX_DOUBTS {
            let n_asked = MAX_DOUBTS + 1;
            return Err(self.fatal(format!(
                "gives ledgers that cannot be used: {reason} (asked {n_asked} times); \
                 ask another server, or read these ledgers from files with the source `stellar-ledgers`"
            )));
        }
        let wait = first.saturating_mul(1 << self.n_doubts).min(LONGEST_DOUBT);
        self.n_doubts += 1;
        tracing::warn!(
            node = %self.node, server = %self.shown, doubt = %reason, wait = ?wait,
            "answer is asked for again"
        );
        sleep(wait).await;
        Ok(())
    }

    /// A fault that names the server.
    pub(super) fn fatal(&self, reason: impl AsRef<str>) -> Fault {
        Fault::Fatal(format!("`{}` {}", self.shown, reason.as_ref()))
    }
}
