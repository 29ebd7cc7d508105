//! How a pipeline runs: limits of a call, batches, queues, checkpoints and retries.
//!
//! Invariant: every number that a file sets lies within the bounds stated at its
//! field, so that the runtime allocates by it without checking again.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Settings of a pipeline, complete: what a file leaves out has its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// What one instance of a plugin may use.
    pub limits: Limits,
    /// How events are gathered into batches.
    pub batch: Batching,
    /// Batches that an edge holds before its sender waits: 1 to 1,024, default 8.
    pub queue: u32,
    /// Time between two checkpoints: 10 ms to 1 h, default 5 s.
    #[serde(serialize_with = "serialize_duration")]
    pub checkpoint_interval: Duration,
    /// Committed checkpoints that are kept: 1 to 1,000, default 3.
    pub checkpoints_kept: u32,
    /// What happens when a call fails.
    pub retry: Retry,
}

/// What one instance of a plugin may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Bytes of all its memories and tables together: 1 MiB to 4 GiB, default 256 MiB.
    /// The host's own maximum still holds.
    pub memory_bytes: u64,
    /// Executed time of one call: 1 ms to 10 min, default 5 s.
    #[serde(serialize_with = "serialize_duration")]
    pub cpu: Duration,
    /// Wall-clock time of one call, waiting included: 1 ms to 1 h, default 30 s.
    #[serde(serialize_with = "serialize_duration")]
    pub timeout: Duration,
}

/// How events are gathered into batches: whichever is reached first closes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Batching {
    /// Events in a batch: 1 to 100,000, default 1,000.
    pub max_events: u32,
    /// Bytes of payload in a batch: 1 KiB to 256 MiB, default 4 MiB. An event that is
    /// larger travels alone.
    pub max_bytes: u64,
    /// How long an event waits for others: 0 to 1 min, default 1 ms.
    #[serde(serialize_with = "serialize_duration")]
    pub linger: Duration,
}

/// What happens when a call of a node fails in a way that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Retry {
    /// Calls that are made in all, the first included: 1 to 1,000, default 8.
    pub max_attempts: u32,
    /// Time before the second call: 1 ms to 1 h, default 100 ms. Each wait is longer
    /// than the one before it.
    #[serde(serialize_with = "serialize_duration")]
    pub first_wait: Duration,
    /// Longest time between two calls: 1 ms to 1 h, default 10 s; never shorter than
    /// `first_wait`.
    #[serde(serialize_with = "serialize_duration")]
    pub longest_wait: Duration,
    /// What becomes of an event on which every call of a processor failed, or that a sink
    /// refuses; default [`OnFailure::DeadLetter`]. A source or a sink whose calls all
    /// failed ends the run: its events are taken up again at the next start.
    pub on_failure: OnFailure,
}

/// What happens to an event on which every call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It becomes a dead letter, and the stream goes on.
    DeadLetter,
    /// The run fails, and names the node. The event is taken up again at the next start.
    Stop,
}

/// What a node sets differently from its pipeline; none = as the pipeline.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Overrides {
    /// As [`Limits::memory_bytes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// As [`Limits::cpu`].
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_optional_duration")]
    pub cpu: Option<Duration>,
    /// As [`Limits::timeout`].
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_optional_duration")]
    pub timeout: Option<Duration>,
    /// As [`Batching::max_events`], of the batches that reach the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_events: Option<u32>,
    /// As [`Batching::max_bytes`], of the batches that reach the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
    /// As [`Batching::linger`], of the batches that reach the node.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_optional_duration")]
    pub linger: Option<Duration>,
    /// As [`Settings::queue`], of the edges that reach the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<u32>,
    /// As [`Settings::checkpoint_interval`]; only a pipeline sets it, never a node.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_optional_duration")]
    pub checkpoint_interval: Option<Duration>,
    /// As [`Settings::checkpoints_kept`]; only a pipeline sets it, never a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoints_kept: Option<u32>,
    /// As [`Retry::max_attempts`], of the node's own calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// As [`Retry::first_wait`], of the node's own calls.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_optional_duration")]
    pub first_wait: Option<Duration>,
    /// As [`Retry::longest_wait`], of the node's own calls.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_optional_duration")]
    pub longest_wait: Option<Duration>,
    /// As [`Retry::on_failure`], of the node's own events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Time between two calls of the plugin's `tick`: 1 ms to 1 h; none = it is not
    /// called. Only a node sets it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_optional_duration")]
    pub tick: Option<Duration>,
}

impl Settings {
    /// These settings with those of `overrides` in place of their own: what holds at
    /// a node.
    #[must_use]
    pub fn with(&self, overrides: &Overrides) -> Self {
        Self {
            limits: Limits {
                memory_bytes: overrides.memory_bytes.unwrap_or(self.limits.memory_bytes),
                cpu: overrides.cpu.unwrap_or(self.limits.cpu),
                timeout: overrides.timeout.unwrap_or(self.limits.timeout),
            },
            batch: Batching {
                max_events: overrides.max_events.unwrap_or(self.batch.max_events),
                max_bytes: overrides.max_bytes.unwrap_or(self.batch.max_bytes),
                linger: overrides.linger.unwrap_or(self.batch.linger),
            },
            queue: overrides.queue.unwrap_or(self.queue),
            checkpoint_interval: overrides.checkpoint_interval.unwrap_or(self.checkpoint_interval),
            checkpoints_kept: overrides.checkpoints_kept.unwrap_or(self.checkpoints_kept),
            retry: Retry {
                max_attempts: overrides.max_attempts.unwrap_or(self.retry.max_attempts),
                first_wait: overrides.first_wait.unwrap_or(self.retry.first_wait),
                longest_wait: overrides.longest_wait.unwrap_or(self.retry.longest_wait),
                on_failure: overrides.on_failure.unwrap_or(self.retry.on_failure),
            },
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits { memory_bytes: 256 << 20, cpu: Duration::from_secs(5), timeout: Duration::from_secs(30) },
            batch: Batching { max_events: 1_000, max_bytes: 4 << 20, linger: Duration::from_millis(1) },
            queue: 8,
            checkpoint_interval: Duration::from_secs(5),
            checkpoints_kept: 3,
            retry: Retry::default(),
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(10),
            on_failure: OnFailure::DeadLetter,
        }
    }
}

fn serialize_duration<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&flowctl_types::units::duration_text(*duration))
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn serialize_optional_duration<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => serialize_duration(duration, serializer),
        None => serializer.serialize_none(),
    }
}
