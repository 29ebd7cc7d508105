//! Pipelines and runs as lists show them.

use std::time::Duration;

use flowctl_client::admin;
use jiff::Timestamp;
use serde::Serialize;

use crate::plane::status_word;

/// One pipeline.
#[derive(Serialize)]
pub(in crate::commands) struct PipelineRow {
    name: String,
    status: &'static str,
    /// Whether it runs again after the control plane restarts.
    restarts: bool,
    runs: u64,
    last_run: Option<RunRow>,
    created_at: Option<String>,
}

/// One run.
#[derive(Serialize)]
pub(in crate::commands) struct RunRow {
    id: String,
    pipeline: String,
    status: &'static str,
    created_at: Option<String>,
    started_at: Option<String>,
    ended_at: Option<String>,
    duration_ms: Option<u64>,
    events_in: u64,
    events_out: u64,
    rejected: u64,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
}

impl PipelineRow {
    pub(in crate::commands) const HEADER: [&'static str; 7] =
        ["NAME", "STATUS", "RUNS", "STARTED", "EVENTS IN", "OUT", "REJECTED"];

    pub(in crate::commands) fn of(pipeline: &admin::Pipeline) -> Self {
        let last_run = pipeline.last_run.as_ref();
        Self {
            name: pipeline.name.clone(),
            status: last_run.map_or("never run", |run| status_word(run.status())),
            restarts: pipeline.is_wanted,
            runs: pipeline.n_runs,
            last_run: last_run.map(RunRow::of),
            created_at: time(pipeline.created_at.as_ref()),
        }
    }

    pub(in crate::commands) fn cells(&self) -> Vec<String> {
        let figures =
            |figure: fn(&RunRow) -> u64| self.last_run.as_ref().map_or("-".to_owned(), |run| figure(run).to_string());
        vec![
            self.name.clone(),
            self.status.to_owned(),
            self.runs.to_string(),
            self.last_run.as_ref().and_then(|run| run.created_at.clone()).unwrap_or_else(|| "-".to_owned()),
            figures(|run| run.events_in),
            figures(|run| run.events_out),
            figures(|run| run.rejected),
        ]
    }
}

impl RunRow {
    pub(in crate::commands) const HEADER: [&'static str; 7] =
        ["RUN", "STATUS", "STARTED", "DURATION", "EVENTS IN", "OUT", "REJECTED"];

    pub(in crate::commands) fn of(run: &admin::Run) -> Self {
        Self {
            id: run.id.clone(),
            pipeline: run.pipeline.clone(),
            status: status_word(run.status()),
            created_at: time(run.created_at.as_ref()),
            started_at: time(run.started_at.as_ref()),
            ended_at: time(run.ended_at.as_ref()),
            duration_ms: elapsed(run).map(|elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)),
            events_in: run.events_in,
            events_out: run.events_out,
            rejected: run.rejected,
            epoch: run.epoch,
            error: Some(run.error.clone()).filter(|error| !error.is_empty()),
            error_code: Some(run.error_code.clone()).filter(|code| !code.is_empty()),
        }
    }

    pub(in crate::commands) fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.status.to_owned(),
            self.created_at.clone().unwrap_or_else(|| "-".to_owned()),
            self.duration_ms.map_or("-".to_owned(), |ms| rounded(Duration::from_millis(ms))),
            self.events_in.to_string(),
            self.events_out.to_string(),
            self.rejected.to_string(),
        ]
    }
}

/// A moment as RFC 3339 has it, in whole seconds: never later than it was.
pub(in crate::commands) fn time(moment: Option<&prost_types::Timestamp>) -> Option<String> {
    // nanoseconds count from there on, also before 1970
    Timestamp::from_second(moment?.seconds).ok().map(|moment| moment.to_string())
}

/// How long a run took, or takes.
pub(in crate::commands) fn elapsed(run: &admin::Run) -> Option<Duration> {
    let elapsed = run.elapsed.as_ref()?;
    Some(Duration::new(u64::try_from(elapsed.seconds).ok()?, u32::try_from(elapsed.nanos).ok()?))
}

/// A length of time for people: `1h 2m 3s`, with a fraction below ten seconds.
pub(in crate::commands) fn rounded(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        return format!("{:.1}s", time.as_secs_f64());
    }
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h {minutes}m {seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_as_exact_as_they_matter() {
        for (seconds, text) in [(0.04, "0.0s"), (9.94, "9.9s"), (59.9, "59s"), (61.0, "1m 1s"), (7325.0, "2h 2m 5s")] {
            assert_eq!(rounded(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn moments_are_shown_to_the_second_and_never_in_the_future() {
        for nanos in [0, 400_000_000, 999_999_999] {
            let moment = prost_types::Timestamp { seconds: 1_700_000_000, nanos };
            assert_eq!(time(Some(&moment)).as_deref(), Some("2023-11-14T22:13:20Z"));
        }
        assert_eq!(time(None), None);
    }
}
