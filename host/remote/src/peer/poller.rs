//! Asks a component how it is, over and over.

use std::sync::Arc;
use std::time::Duration;

use flowctl_proto::v1::HealthStatus;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::expectation::check;
use super::{Calls, PeerSettings, State};
use crate::{RemoteError, fault};

/// The first wait after a component could not be reached; the next are longer.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Time between two questions while a component is unwell.
const UNWELL_WAIT: Duration = Duration::from_secs(1);
/// Time that a component has for its answer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest message of a component that is shown.
const MAX_MESSAGE: usize = 500;

/// Asks one component.
pub(super) struct Poller {
    pub(super) settings: Arc<PeerSettings>,
    pub(super) calls: Calls,
    pub(super) state: Arc<watch::Sender<State>>,
    /// Wakes it before its time.
    pub(super) poke: Arc<Notify>,
}

impl Poller {
    /// Asks until it is dropped.
    pub(super) async fn run(mut self) {
        let mut is_checked = false;
        let mut wait = FIRST_WAIT;
        loop {
            let known = timeout(HEALTH_TIMEOUT.min(self.settings.call_timeout), self.ask(&mut is_checked)).await;
            let known = known.unwrap_or_else(|_| {
                State::Away(format!("{} does not answer when it is asked how it is", self.settings.endpoint))
            });
            if matches!(known, State::Well) {
                wait = FIRST_WAIT;
            }
            self.tell(known);
            let until_next = match &*self.state.borrow() {
                State::Well | State::Other(_) => self.settings.health_interval,
                State::Away(_) if is_checked => UNWELL_WAIT.min(self.settings.health_interval),
                State::Away(_) => {
                    wait = (wait * 2).min(LONGEST_WAIT).min(self.settings.health_interval.max(FIRST_WAIT));
                    wait
                }
            };
            tokio::select! {
                () = tokio::time::sleep(until_next) => {}
                () = self.poke.notified() => is_checked = false,
            }
        }
    }

    async fn ask(&mut self, is_checked: &mut bool) -> State {
        match self.calls.health().await {
            Ok(answer) => {
                let message: String = answer.message.chars().take(MAX_MESSAGE).collect();
                let colon = if message.is_empty() { "" } else { ": " };
                match answer.status() {
                    HealthStatus::Unhealthy => return State::Away(format!("component is unhealthy{colon}{message}")),
                    HealthStatus::Stopping => return State::Away(format!("component is stopping{colon}{message}")),
                    // components that are well often say nothing at all
                    HealthStatus::Unknown | HealthStatus::Starting | HealthStatus::Healthy | HealthStatus::Degraded => {
                    }
                }
            }
            Err(status) if fault::is_unknown(&status) => {}
            Err(status) => {
                *is_checked = false;
                return self.away(&fault::describe(&status));
            }
        }
        if !*is_checked {
            match check(&self.settings, &mut self.calls).await {
                Ok(()) => *is_checked = true,
                Err(RemoteError::Info { reason, .. }) => return self.away(&reason),
                Err(error) => return State::Other(error),
            }
        }
        State::Well
    }

    fn away(&self, reason: &str) -> State {
        State::Away(format!("cannot reach {}: {reason}", self.settings.endpoint))
    }

    fn tell(&self, known: State) {
        let node = &self.settings.node;
        self.state.send_if_modified(|state| {
            let is_news = *state != known;
            match (&*state, &known) {
                (State::Away(_), State::Well) => tracing::info!(%node, "component is there and well"),
                (State::Well, State::Away(reason)) => tracing::warn!(%node, %reason, "node waits for its component"),
                _ => {}
            }
            *state = known;
            is_news
        });
    }
}
