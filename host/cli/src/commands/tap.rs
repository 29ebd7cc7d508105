//! `flowctl tap PIPELINE NODE`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_client::admin;

use crate::help::examples;
use crate::output;
use crate::plane::{self, ControlPlaneArgs, refused};
use crate::status;

/// Show live events as they leave a node, as lines of JSON
///
/// Of a sink, events are shown as they reach it. The pipeline never waits for this: what does not get through in time is
/// left out, and counted on stderr.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl tap transfers ttp-processor", "until Ctrl-C"),
    ("flowctl tap transfers ttp-processor --limit 3", "three events"),
]))]
pub(crate) struct Tap {
    /// The pipeline, which must run
    #[arg(value_name = "PIPELINE")]
    pipeline: String,
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
    /// End after this many events
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    plane: ControlPlaneArgs,
}

impl Tap {
    /// Shows events until there are enough, or the run ends.
    pub(crate) fn run(self) -> Result<ExitCode> {
        plane::block_on(async {
            if self.limit == Some(0) {
                return Ok(ExitCode::SUCCESS);
            }
            let client = self.plane.connect().await?;
            let request =
                admin::TapNodeRequest { pipeline: self.pipeline, node: self.node, limit: self.limit.unwrap_or(0) };
            let mut events = client.tap(request).await.map_err(refused)?;
            let mut n_skipped = 0;
            while let Some(event) = events.next().await.map_err(refused)? {
                n_skipped += event.n_skipped;
                output::line(&event.json)?;
            }
            if n_skipped > 0 {
                status::say(&format!("{n_skipped} events were left out: this was slower than the pipeline"));
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}
