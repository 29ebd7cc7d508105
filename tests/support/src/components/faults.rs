//! The faults that a test asks a component for, by the variables that the module names.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flowctl_proto::v1::HealthStatus;
use tonic::Status;

use super::environment::{self, ComponentError};
use super::say;

/// What is to go wrong, and what already did.
#[derive(Debug, Default)]
pub(super) struct Faults {
    die_after: Option<u64>,
    break_after: Option<u64>,
    poison: Option<String>,
    unhealthy_file: Option<PathBuf>,
    is_to_miscount: AtomicBool,
    has_broken: AtomicBool,
    n_events: AtomicU64,
}

impl Faults {
    pub(super) fn from_environment() -> Result<Self, ComponentError> {
        Ok(Self {
            die_after: environment::number("DIE_AFTER")?,
            break_after: environment::number("BREAK_AFTER")?,
            poison: environment::text("POISON"),
            unhealthy_file: environment::text("UNHEALTHY_FILE").map(PathBuf::from),
            is_to_miscount: environment::is_set("MISCOUNT").into(),
            ..Self::default()
        })
    }

    /// Lets an event pass, or says what its stream ends with instead.
    #[allow(clippy::disallowed_methods, reason = "a component that dies flushes nothing")]
    pub(super) fn pass(&self, event_id: &str) -> Result<(), Status> {
        let n_before = self.n_events.fetch_add(1, Ordering::Relaxed);
        if self.die_after.is_some_and(|n| n_before >= n) {
            say(&format!("dying at `{event_id}`"));
            std::process::exit(1);
        }
        if self.break_after.is_some_and(|n| n_before >= n) && !self.has_broken.swap(true, Ordering::Relaxed) {
            say(&format!("breaking the stream at `{event_id}`"));
            return Err(Status::unavailable(format!("the stream breaks at `{event_id}`")));
        }
        if self.poison.as_deref() == Some(event_id) {
            say(&format!("poisoned by `{event_id}`"));
            return Err(Status::internal(format!("cannot process `{event_id}`")));
        }
        Ok(())
    }

    /// Whether this answer is the one that counts wrongly.
    pub(super) fn miscounts(&self) -> bool {
        self.is_to_miscount.swap(false, Ordering::Relaxed)
    }

    /// `well`, or that the test wants otherwise.
    pub(super) fn health(&self, well: HealthStatus) -> HealthStatus {
        match &self.unhealthy_file {
            Some(file) if file.exists() => HealthStatus::Unhealthy,
            _ => well,
        }
    }

    /// How many events came so far.
    pub(super) fn n_events(&self) -> u64 {
        self.n_events.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_breaks_once_and_poison_breaks_it_each_time() {
        let faults = Faults { break_after: Some(1), poison: Some("c".to_owned()), ..Faults::default() };
        let codes = ["a", "b", "b", "c", "c"].map(|id| faults.pass(id).err().map(|status| status.code()));
        let (broken, poisoned) = (Some(tonic::Code::Unavailable), Some(tonic::Code::Internal));
        assert_eq!(codes, [None, broken, None, poisoned, poisoned]);
        assert_eq!(faults.n_events(), 5);
    }
}
