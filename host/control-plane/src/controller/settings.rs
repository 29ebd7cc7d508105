//! Limits of runs: how long they may start and stop, and what is kept of them.

use std::time::Duration;

/// Limits of runs.
#[derive(Debug, Clone, Copy)]
pub struct ControllerSettings {
    /// For a run's nodes to become ready. Default 5 min.
    pub start_limit: Duration,
    /// For what is under way to flow to the sinks when a run is stopped and the caller
    /// does not say. Default 60 s.
    pub drain_limit: Duration,
    /// For a run to end that was told to stop at once; then its tasks are dropped.
    /// Default 10 s.
    pub stop_limit: Duration,
    /// Between two looks at a run's figures. Default 250 ms.
    pub figures_period: Duration,
    /// Between two times that they are stored. Default 5 s.
    pub store_period: Duration,
    /// Age from which a run that ended is forgotten. Default 30 days.
    pub keep_for: Duration,
    /// Runs of one pipeline that are kept. Default 100.
    pub n_kept: u32,
    /// Between two times that what is too old is forgotten. Default 10 min.
    pub retention_period: Duration,
}

impl Default for ControllerSettings {
    fn default() -> Self {
        Self {
            start_limit: Duration::from_secs(5 * 60),
            drain_limit: Duration::from_secs(60),
            stop_limit: Duration::from_secs(10),
            figures_period: Duration::from_millis(250),
            store_period: Duration::from_secs(5),
            keep_for: Duration::from_secs(30 * 24 * 60 * 60),
            n_kept: 100,
            retention_period: Duration::from_secs(10 * 60),
        }
    }
}
