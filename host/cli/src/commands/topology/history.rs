//! `flowctl topology history`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use flowctl_client::admin;
use serde::Serialize;

use super::change::{Which, pipeline};
use crate::commands::pipelines::rows::time;
use crate::help::examples;
use crate::output;
use crate::plane::{self, refused};

/// Arguments of `topology history`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl topology history", "of the pipeline that runs"),
    ("flowctl topology history --pipeline transfers --output json", ""),
]))]
pub(crate) struct History {
    #[command(flatten)]
    which: Which,
}

/// One revision in the list.
#[derive(Serialize)]
struct Row {
    revision: u64,
    is_current: bool,
    made_at: String,
    status: String,
    reason: String,
    changes: Vec<String>,
    chain: String,
    pause_ms: Option<f64>,
    run: String,
    text: String,
}

impl History {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let revisions = plane::block_on(async {
            let client = self.which.plane.connect().await?;
            let name = pipeline(&client, self.which.pipeline.as_deref()).await?;
            client.revisions(&name).await.map_err(refused)
        })?;
        let rows: Vec<Row> = revisions.into_iter().map(Row::of).collect();
        output::value(self.which.output, &rows, || {
            let cells: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
            output::table(&["REVISION", "MADE", "STATUS", "PAUSE", "CHAIN", "WHY"], &cells)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Row {
    fn of(revision: admin::Revision) -> Self {
        let was_made_live = revision.status != "started" && revision.pause_us > 0;
        Self {
            revision: revision.number,
            is_current: revision.is_current,
            made_at: time(revision.made_at.as_ref()).unwrap_or_default(),
            status: revision.status,
            reason: revision.reason,
            changes: revision.changes,
            chain: revision.line,
            pause_ms: was_made_live.then_some(revision.pause_us as f64 / 1e3),
            run: revision.run_id,
            text: revision.text,
        }
    }

    fn cells(&self) -> Vec<String> {
        let mark = if self.is_current { "*" } else { "" };
        let pause = self.pause_ms.map_or_else(|| "-".to_owned(), |pause| format!("{pause:.2} ms"));
        let why = if self.reason.is_empty() { self.changes.join("; ") } else { self.reason.clone() };
        vec![
            format!("{}{mark}", self.revision),
            self.made_at.clone(),
            self.status.clone(),
            pause,
            self.chain.clone(),
            why,
        ]
    }
}
