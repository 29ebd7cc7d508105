//! Kills pipelines over and over, as the tests do a few times, and collects the figures.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::shell::{self, Workspace};
use crate::{guests, setup};

/// Kills each pipeline `n_kills` times. The figures are printed, and written to `json` as
/// `{"rows": [{"name", "kills", "events", "lost", "duplicated", "wrong_aggregates"}]}`.
pub(crate) fn run(workspace: &Workspace, n_kills: u64, json: Option<&Path>) -> Result<()> {
    setup::programs()?;
    guests::build(workspace)?;
    let figures = workspace.target.join("soak.jsonl");
    if figures.exists() {
        fs::remove_file(&figures).with_context(|| format!("cannot remove `{}`", figures.display()))?;
    }
    let mut cargo = workspace.cargo(["test", "--package", "flowctl", "--test", "it", "--", "kills::"]);
    guests::name_folders(workspace, &mut cargo);
    cargo.env("FLOWCTL_SOAK_KILLS", n_kills.to_string()).env("FLOWCTL_SOAK_FIGURES", &figures);
    let passed = shell::run(&mut cargo);
    let text = fs::read_to_string(&figures).with_context(|| format!("cannot read `{}`", figures.display()))?;
    let rows: Vec<serde_json::Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&serde_json::json!({ "rows": rows })).context("cannot write JSON")?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    for row in &rows {
        println!("{row}");
    }
    passed
}
