//! `flowctl pipelines list | active | runs | info | stop | logs | delete`.

mod info;
mod logs;
pub(super) mod rows;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use flowctl_client::{Client, ClientError, admin};
use flowctl_types::Code;

use self::info::Info;
use self::logs::Logs;
use self::rows::{PipelineRow, RunRow};
use crate::args::duration;
use crate::help::examples;
use crate::output::{self, Format};
use crate::plane::{self, ControlPlaneArgs, is_over, refused, status_word};
use crate::report::Hinted;
use crate::status;

/// The commands below `pipelines`.
#[derive(Subcommand)]
#[command(after_help = examples(&[
    ("flowctl pipelines list", ""),
    ("flowctl pipelines info transfers", "its last run"),
    ("flowctl pipelines stop transfers", ""),
]))]
pub(crate) enum Pipelines {
    /// List the pipelines that the control plane knows, with what became of their last run
    List(List),
    /// List the pipelines that run now
    Active(Active),
    /// List the runs of a pipeline, the latest first
    Runs(Runs),
    /// Show all that is known of a run
    Info(Info),
    /// Stop a run: its sources stop, what is under way flows to the sinks
    Stop(Stop),
    /// Show what happened in a run, and what its plugins logged
    Logs(Logs),
    /// Forget a pipeline that does not run, with its runs; its checkpoints stay
    Delete(Delete),
}

/// Arguments of `pipelines list`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl pipelines list", ""),
    ("flowctl pipelines list --output json", "for a program"),
]))]
pub(crate) struct List {
    #[command(flatten)]
    plane: ControlPlaneArgs,
    /// How to print the list
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Arguments of `pipelines active`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl pipelines active", ""),
    ("flowctl pipelines active --output yaml", "for a program"),
]))]
pub(crate) struct Active {
    #[command(flatten)]
    list: List,
}

/// Arguments of `pipelines runs`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl pipelines runs transfers", ""),
    ("flowctl pipelines runs transfers --limit 5 --output json", "the last five"),
]))]
pub(crate) struct Runs {
    /// The pipeline
    #[arg(value_name = "PIPELINE")]
    name: String,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    list: List,
}

/// Arguments of `pipelines stop`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl pipelines stop transfers", "what is under way reaches the sinks"),
    ("flowctl pipelines stop transfers --drain-timeout 30s", "in half a minute at most"),
    ("flowctl pipelines stop transfers --drain-timeout 0s", "at once"),
]))]
pub(crate) struct Stop {
    /// The run, or the pipeline whose run is meant
    #[arg(value_name = "RUN")]
    run: String,
    /// How long what is under way may flow to the sinks before the run stops at once, such as `30s`; `0s` is at once
    /// [default: the control plane's limit]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    drain_timeout: Option<Duration>,
    /// Return at once, without waiting for the end
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    plane: ControlPlaneArgs,
}

/// Arguments of `pipelines delete`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl pipelines delete transfers", ""),
]))]
pub(crate) struct Delete {
    /// The pipeline
    #[arg(value_name = "PIPELINE")]
    name: String,
    #[command(flatten)]
    plane: ControlPlaneArgs,
}

impl Pipelines {
    /// Does what was asked for.
    pub(crate) fn run(self) -> Result<ExitCode> {
        plane::block_on(async {
            match self {
                Self::List(list) => list.run(Wanted::All).await,
                Self::Active(active) => active.list.run(Wanted::Active).await,
                Self::Runs(runs) => runs.run().await,
                Self::Info(info) => info.run().await,
                Self::Stop(stop) => stop.run().await,
                Self::Logs(logs) => logs.run().await,
                Self::Delete(delete) => delete.run().await,
            }
        })
    }
}

/// Which pipelines are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    Active,
}

impl List {
    async fn run(self, wanted: Wanted) -> Result<ExitCode> {
        let client = self.plane.connect().await?;
        let request = admin::ListPipelinesRequest {
            is_active: wanted == Wanted::Active,
            ..admin::ListPipelinesRequest::default()
        };
        let rows: Vec<PipelineRow> =
            client.pipelines(request).await.map_err(refused)?.iter().map(PipelineRow::of).collect();
        output::value(self.output, &rows, || {
            let cells: Vec<Vec<String>> = rows.iter().map(PipelineRow::cells).collect();
            output::table(&PipelineRow::HEADER, &cells)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Runs {
    async fn run(self) -> Result<ExitCode> {
        let client = self.list.plane.connect().await?;
        // a name that is unknown is an error, and no empty list
        client.pipeline(&self.name).await.map_err(refused)?;
        let request = admin::ListRunsRequest { pipeline: self.name, ..admin::ListRunsRequest::default() };
        let rows: Vec<RunRow> =
            client.runs(request, self.limit).await.map_err(refused)?.iter().map(RunRow::of).collect();
        output::value(self.list.output, &rows, || {
            let cells: Vec<Vec<String>> = rows.iter().map(RunRow::cells).collect();
            output::table(&RunRow::HEADER, &cells)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Stop {
    async fn run(self) -> Result<ExitCode> {
        let client = self.plane.connect().await?;
        let run = find_run(&client, &self.run).await?;
        if is_over(run.status()) {
            status::say(&format!("Run {} has ended: {}", run.id, status_word(run.status())));
            return Ok(ExitCode::SUCCESS);
        }
        let drain_timeout = self.drain_timeout.map(wire_duration);
        let mut run = client.stop_run(admin::StopRunRequest { id: run.id, drain_timeout }).await.map_err(refused)?;
        if self.no_wait {
            status::say(&format!("{}: it was told to stop", run.pipeline));
            return Ok(ExitCode::SUCCESS);
        }
        match wait_for_end(&client, run.clone()).await {
            Ok(ended) => run = ended,
            // the control plane of one run ends with it
            Err(error) if error.is_unavailable() => {
                status::say(&format!("{}: it was told to stop, and its control plane has ended", run.pipeline));
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => return Err(refused(error)),
        }
        let (n_in, n_out, rejected) = (run.events_in, run.events_out, run.rejected);
        let state = status_word(run.status());
        status::say(&format!("{}: {state}, {n_in} events in, {n_out} out, {rejected} rejected", run.pipeline));
        Ok(if run.status() == admin::RunStatus::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl Delete {
    async fn run(self) -> Result<ExitCode> {
        let client = self.plane.connect().await?;
        client.delete_pipeline(&self.name).await.map_err(refused)?;
        status::say(&format!("Deleted `{}` and its runs; its checkpoints stay", self.name));
        Ok(ExitCode::SUCCESS)
    }
}

/// Waits until a run has ended.
async fn wait_for_end(client: &Client, mut run: admin::Run) -> Result<admin::Run, ClientError> {
    let mut watch = client.watch_run(&run.id).await?;
    while let Some(now) = watch.next().await? {
        run = now;
    }
    Ok(run)
}

/// The run of this id, or the last one of the pipeline of this name.
async fn find_run(client: &Client, text: &str) -> Result<admin::Run> {
    let near_run = match client.run(text).await {
        Ok(run) => return Ok(run),
        Err(error) if error.is_not_found() => error.hint(),
        Err(error) => return Err(refused(error)),
    };
    let lists = "`flowctl pipelines list` shows the pipelines, `flowctl pipelines runs PIPELINE` the runs of one";
    let unknown = |near: Option<String>| {
        let hint = near.unwrap_or_else(|| lists.to_owned());
        Hinted::coded(Code::NotThere, format!("there is no run or pipeline `{text}`"), hint)
    };
    let pipeline = match client.pipeline(text).await {
        Ok(pipeline) => pipeline,
        Err(error) if error.is_not_found() => return Err(unknown(error.hint().or(near_run))),
        Err(error) => return Err(refused(error)),
    };
    let Some(last) = pipeline.last_run else { return Err(unknown(None)) };
    client.run(&last.id).await.map_err(refused)
}

fn wire_duration(time: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.subsec_nanos()).unwrap_or(0),
    }
}
