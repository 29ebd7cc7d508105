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
        // a reason may end in what a plugin wrote last, which is for programs
        let reason = self.reason.lines().next().unwrap_or_default();
        let why = if reason.is_empty() { self.changes.join("; ") } else { reason.to_owned() };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_one_line_of_the_reason_and_a_program_all_of_it() {
        let reason = "node `filter` failed\n  caused by: it crashed\n    0: main";
        let revision = |reason: &str| admin::Revision {
            reason: reason.to_owned(),
            changes: vec!["add `filter`".to_owned(), "remove `out`".to_owned()],
            ..admin::Revision::default()
        };
        let row = Row::of(revision(reason));
        assert_eq!(row.cells().last().map(String::as_str), Some("node `filter` failed"));
        assert_eq!(serde_json::to_value(&row).unwrap()["reason"], reason);
        let row = Row::of(revision(""));
        assert_eq!(row.cells().last().map(String::as_str), Some("add `filter`; remove `out`"));
    }
}
