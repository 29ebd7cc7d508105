//! `flowctl pipelines logs RUN`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use flowctl_client::admin;
use flowctl_types::{all_of, did_you_mean};
use serde::Serialize;

use super::find_run;
use super::rows::time;
use crate::help::examples;
use crate::output;
use crate::plane::{ControlPlaneArgs, is_over, refused};
use crate::report::Hinted;

/// Arguments of `pipelines logs`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl pipelines logs transfers", "of its last run"),
    ("flowctl pipelines logs transfers --follow", "until the run ends"),
    ("flowctl pipelines logs transfers --node ttp-processor --output json", "of one node, JSON lines"),
]))]
pub(crate) struct Logs {
    /// The run, or the pipeline whose last run is meant
    #[arg(value_name = "RUN")]
    run: String,
    /// Go on with what happens from now on, until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Only what this node did and logged
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    #[command(flatten)]
    plane: ControlPlaneArgs,
    /// How to print the events
    #[arg(short, long, value_enum, default_value_t)]
    output: LogFormat,
}

/// How events are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// One line an event, for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Serialize)]
struct Event<'a> {
    number: u64,
    at: Option<String>,
    level: &'a str,
    kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    node: &'a str,
    message: &'a str,
}

/// Refuses a node that a run does not have. Of one that was never planned no nodes are known.
fn check_node(run: &admin::Run, node: &str) -> Result<()> {
    if run.nodes.is_empty() || run.nodes.iter().any(|known| known.node == node) {
        return Ok(());
    }
    let names = || run.nodes.iter().map(|node| node.node.as_str());
    let all = || format!("its nodes are {}", all_of(&names().collect::<Vec<_>>()));
    let hint = did_you_mean(node, names()).unwrap_or_else(all);
    Err(Hinted::error(format!("run {} of `{}` has no node `{node}`", run.id, run.pipeline), hint))
}

impl Logs {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let client = self.plane.connect().await?;
        let run = find_run(&client, &self.run).await?;
        if let Some(node) = &self.node {
            check_node(&run, node)?;
        }
        let node = self.node.clone().unwrap_or_default();
        if self.follow && !is_over(run.status()) {
            let request = admin::WatchRunEventsRequest { id: run.id, node, after: 0 };
            let mut watch = client.watch_run_events(request).await.map_err(refused)?;
            while let Some(event) = watch.next().await.map_err(refused)? {
                self.print(&event)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let request = admin::ListRunEventsRequest { id: run.id, node, ..admin::ListRunEventsRequest::default() };
        for event in client.run_events(request).await.map_err(refused)? {
            self.print(&event)?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, event: &admin::RunEvent) -> Result<()> {
        let at = time(event.at.as_ref());
        match self.output {
            LogFormat::Json => output::line(serde_json::to_string(&Event {
                number: event.number,
                at,
                level: &event.level,
                kind: &event.kind,
                node: &event.node,
                message: &event.message,
            })?),
            LogFormat::Text => {
                let (at, level) = (at.unwrap_or_else(|| "-".to_owned()), event.level.to_uppercase());
                let about = match event.node.as_str() {
                    "" => event.kind.clone(),
                    node => format!("{} {node}", event.kind),
                };
                let message = event.message.replace('\n', "\n    ");
                output::line(output::plain(&format!("{at}  {level:5}  {about}: {message}")))
            }
        }
    }
}
