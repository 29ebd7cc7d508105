//! `flowctl status`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use flowctl_client::{Client, admin};
use serde::Serialize;

use super::pipelines::rows::{PipelineRow, time};
use crate::help::examples;
use crate::output::{self, Format};
use crate::plane::{self, ControlPlaneArgs, refused};

/// Time between two looks of `--watch` where nothing changes.
const INTERVAL: Duration = Duration::from_secs(1);

/// Show the control plane, its pipelines and its components
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl status", ""),
    ("flowctl status --watch", "until Ctrl-C"),
    ("flowctl status --output json", "for a program"),
]))]
pub(crate) struct Status {
    /// Go on showing it as it changes, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    plane: ControlPlaneArgs,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

#[derive(Serialize)]
struct Overview {
    address: String,
    version: String,
    started_at: Option<String>,
    tenant: String,
    role: String,
    active_runs: u64,
    components: u64,
    pipelines: Vec<PipelineRow>,
}

impl Status {
    /// Prints it, once or again and again.
    pub(crate) fn run(self) -> Result<ExitCode> {
        plane::block_on(async {
            let client = self.plane.connect().await?;
            loop {
                let overview = Overview::of(&client).await?;
                output::value(self.output, &overview, || overview.text())?;
                if !self.watch {
                    return Ok(ExitCode::SUCCESS);
                }
                tokio::time::sleep(INTERVAL).await;
                if self.output == Format::Table {
                    output::line("")?;
                }
            }
        })
    }
}

impl Overview {
    async fn of(client: &Client) -> Result<Self> {
        let host = client.host().await.map_err(refused)?;
        let pipelines = client.pipelines(admin::ListPipelinesRequest::default()).await.map_err(refused)?;
        Ok(Self {
            address: client.address().to_owned(),
            version: host.version,
            started_at: time(host.started_at.as_ref()),
            tenant: host.tenant,
            role: host.role,
            active_runs: host.n_active_runs,
            components: host.n_components,
            pipelines: pipelines.iter().map(PipelineRow::of).collect(),
        })
    }

    fn text(&self) -> String {
        let since = self.started_at.as_ref().map(|at| format!(", since {at}")).unwrap_or_default();
        let mut text = format!(
            "flowctl {} at {}{since}\ntenant {} as {}: {} pipelines, {} running, {} components\n",
            self.version,
            self.address,
            self.tenant,
            self.role,
            self.pipelines.len(),
            self.active_runs,
            self.components,
        );
        if !self.pipelines.is_empty() {
            let cells: Vec<Vec<String>> = self.pipelines.iter().map(PipelineRow::cells).collect();
            text.push('\n');
            text.push_str(&output::table(&PipelineRow::HEADER, &cells));
        }
        text
    }
}
