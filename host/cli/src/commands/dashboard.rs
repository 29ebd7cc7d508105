//! `flowctl dashboard [PIPELINE]`.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_tui::{Colours, Options};

use crate::help::examples;
use crate::plane::{self, ControlPlaneArgs, attached, refused};
use crate::report::Hinted;
use crate::status;
use crate::terminal::has_colour;

/// Watch and change the pipelines of a control plane, live on a terminal
///
/// Shows all pipelines with their rates and errors; for one of them its nodes as a graph with events/s, queues, latency
/// and rejects, the logs and events of a node, and the history of changes. Pipelines can be stopped, and nodes replaced,
/// added and removed, after the plan was shown. When the control plane goes away, the last picture stays until it is
/// back. `?` shows the keys.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl dashboard", "all pipelines"),
    ("flowctl dashboard transfers", "one of them"),
    ("FLOWCTL_TOKEN=… flowctl dashboard --control-plane https://flowctl.example:8443", ""),
    ("NO_COLOR=1 flowctl dashboard", "without colours"),
]))]
pub(crate) struct Dashboard {
    /// The pipeline to open [default: the list of all]
    #[arg(value_name = "PIPELINE")]
    pipeline: Option<String>,
    #[command(flatten)]
    plane: ControlPlaneArgs,
}

impl Dashboard {
    /// Shows it until it is closed.
    pub(crate) fn run(self) -> Result<ExitCode> {
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            return Err(Hinted::error(
                "the dashboard needs a terminal, and standard input or output is none",
                "`flowctl status --watch` and `flowctl pipelines info RUN -o json` print what it shows",
            ));
        }
        plane::block_on(async {
            let client = self.plane.connect().await?;
            if let Some(name) = &self.pipeline {
                client.pipeline(name).await.map_err(refused)?;
            }
            let options = Options {
                pipeline: self.pipeline,
                colours: if has_colour() { Colours::Some } else { Colours::None },
                variables: |config| attached::variables(config).into_iter().collect(),
            };
            // what is logged meanwhile would tear the picture
            let _held = status::hold();
            flowctl_tui::show(client, options).await?;
            Ok(ExitCode::SUCCESS)
        })
    }
}
