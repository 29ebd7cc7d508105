//! `flowctl topology plan | add | remove | replace | configure | sync | rollback`: changes of
//! a pipeline that runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use flowctl_client::{Client, admin};
use serde::Serialize;
use serde_json::{Map, Value};

use admin::change_topology_request::Change;

use crate::args::{duration, key_value};
use crate::help::examples;
use crate::output::{self, Format};
use crate::pipeline::lockfile::{self, LockFile};
use crate::plane::{self, ControlPlaneArgs, attached, refused};
use crate::report::Hinted;
use crate::{pipeline, status};

/// Between two looks at what became of a change.
const PAUSE: Duration = Duration::from_millis(200);

/// Arguments of `topology plan`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl topology plan transfers.yaml", ""),
]))]
pub(crate) struct Plan {
    /// What the pipeline is to be; `-` is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Whether the plan is for a change that drops the state of nodes that get another component
    #[arg(long)]
    discard_state: bool,
}

/// Arguments of `topology add`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl topology add volume-aggregator --after ttp-processor", ""),
    ("flowctl topology add ./dedup.wasm --id dedup --after orders --before out --config window=60", ""),
]))]
pub(crate) struct Add {
    /// A plugin, connector or live component by name, a reference, or a `.wasm` file
    #[arg(value_name = "COMPONENT")]
    component: String,
    /// The node that it reads from; may be repeated
    #[arg(long, value_name = "NODE", required = true)]
    after: Vec<String>,
    /// Who reads from it, in the place of those before; may be repeated [default: whoever of their readers takes its
    /// events]
    #[arg(long, value_name = "NODE")]
    before: Vec<String>,
    /// The node's id [default: the component's name]
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// A value of its configuration, fields of fields joined with dots; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    config: Vec<(String, String)>,
    #[command(flatten)]
    how: How,
}

/// Arguments of `topology remove`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl topology remove volume-aggregator", ""),
    ("flowctl topology remove volume-aggregator --dry-run", "what would change"),
]))]
pub(crate) struct Remove {
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
    #[command(flatten)]
    how: How,
}

/// Arguments of `topology replace`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl topology replace ttp-processor registry.example/plugins/ttp-processor:1.3.0", ""),
    ("flowctl topology replace ttp-processor ./ttp-processor.wasm --wait", "until it is kept"),
    ("flowctl topology replace sqlite blackhole --config path=null", "without a value of the one before"),
]))]
pub(crate) struct Replace {
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
    /// A plugin, connector or live component by name, a reference, or a `.wasm` file
    #[arg(value_name = "COMPONENT")]
    component: String,
    /// Values that change with it; may be repeated. Others stay, and `KEY=null` takes one away
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    config: Vec<(String, String)>,
    #[command(flatten)]
    how: How,
}

/// Arguments of `topology configure`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl topology configure volume-aggregator window=60", ""),
    ("flowctl topology configure volume-aggregator window=null", "take a value away"),
]))]
pub(crate) struct Configure {
    /// The node
    #[arg(value_name = "NODE")]
    node: String,
    /// Values by their path, fields of fields joined with dots; `KEY=null` takes one away
    #[arg(value_name = "KEY=VALUE", value_parser = key_value, required = true)]
    values: Vec<(String, String)>,
    #[command(flatten)]
    how: How,
}

/// Arguments of `topology sync`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl topology sync transfers.yaml", ""),
    ("flowctl topology sync transfers.yaml --no-trial", "kept at once"),
]))]
pub(crate) struct Sync {
    /// What the pipeline is to be; `-` is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    how: How,
}

/// Arguments of `topology rollback`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl topology rollback", "to the revision before"),
    ("flowctl topology rollback 3", "to one of `topology history`"),
]))]
pub(crate) struct Rollback {
    /// The revision, as `flowctl topology history` counts them [default: the one before]
    #[arg(value_name = "REVISION", value_parser = clap::value_parser!(u64).range(1..))]
    revision: Option<u64>,
    #[command(flatten)]
    how: How,
}

/// Which pipeline is meant.
#[derive(Args)]
pub(crate) struct Which {
    /// The pipeline, where several run
    #[arg(long, value_name = "PIPELINE")]
    pub(super) pipeline: Option<String>,
    #[command(flatten)]
    pub(super) plane: ControlPlaneArgs,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Format,
}

/// How a change is made.
#[derive(Args)]
pub(crate) struct How {
    #[command(flatten)]
    which: Which,
    /// Show the change, and make none
    #[arg(long)]
    dry_run: bool,
    /// Make it only if its plan still has this hash, which `--dry-run` shows
    #[arg(long, value_name = "HASH", conflicts_with = "dry_run")]
    plan_hash: Option<String>,
    /// Drop the state of nodes that get another component, instead of handing it over
    #[arg(long)]
    discard_state: bool,
    /// Keep the change at once, without a trial
    #[arg(long, conflicts_with_all = ["trial_batches", "trial_time", "trial_rejects"])]
    no_trial: bool,
    /// Batches that each new component has to process before the change is kept [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    trial_batches: Option<u64>,
    /// The longest time that the trial takes, such as `30s` [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    trial_time: Option<Duration>,
    /// The share of its events that a new component may refuse, 0 to 1 [default: 0.5]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    trial_rejects: Option<f64>,
    /// Wait until the change is kept or rolled back
    #[arg(long, conflicts_with = "dry_run")]
    wait: bool,
}

/// What is printed of a change.
#[derive(Serialize)]
pub(super) struct Shown {
    pipeline: String,
    changes: Vec<String>,
    plan_hash: String,
    is_at_checkpoint: bool,
    pub(super) is_made: bool,
    chain: String,
    revision: u64,
    pause_ms: f64,
    took_ms: f64,
    lost_batches: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled: Option<String>,
}

impl Plan {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let how = How {
            which: self.which,
            dry_run: true,
            plan_hash: None,
            discard_state: self.discard_state,
            no_trial: false,
            trial_batches: None,
            trial_time: None,
            trial_rejects: None,
            wait: false,
        };
        Sync { file: self.file, how }.run()
    }
}

impl Add {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let mut config = Value::Object(Map::new());
        for (path, text) in &self.config {
            set(&mut config, path, value(text))?;
        }
        let config = if self.config.is_empty() { String::new() } else { config.to_string() };
        let variables = attached::variables(&config);
        let change = admin::AddNode {
            component: component(self.component)?,
            id: self.id.unwrap_or_default(),
            after: self.after,
            before: self.before,
            config,
        };
        self.how.make(Change::Add(change), variables)
    }
}

impl Remove {
    pub(crate) fn run(self) -> Result<ExitCode> {
        self.how.make(Change::Remove(admin::RemoveNode { node: self.node }), BTreeMap::new())
    }
}

impl Replace {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (values, variables) = as_json(self.config)?;
        let change = admin::ReplaceNode {
            node: self.node,
            component: component(self.component)?,
            values: values.into_iter().collect(),
        };
        self.how.make(Change::Replace(change), variables)
    }
}

impl Configure {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let (values, variables) = as_json(self.values)?;
        let change = admin::ConfigureNode { node: self.node, values: values.into_iter().collect() };
        self.how.make(Change::Configure(change), variables)
    }
}

impl Sync {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let text = pipeline::read(&self.file)?;
        self.how.make(Change::File(file(&self.file, text)?), BTreeMap::new())
    }
}

impl Rollback {
    pub(crate) fn run(self) -> Result<ExitCode> {
        let revision = self.revision.unwrap_or_default();
        self.how.make(Change::Rollback(admin::Rollback { revision }), BTreeMap::new())
    }
}

impl How {
    /// Plans the change, and makes it.
    fn make(self, change: Change, variables: BTreeMap<String, String>) -> Result<ExitCode> {
        plane::block_on(async {
            let client = self.which.plane.connect().await?;
            let name = pipeline(&client, self.which.pipeline.as_deref()).await?;
            if !self.dry_run {
                status::say("Reconfiguring topology...");
            }
            let request = self.request(&name, change, variables)?;
            if !self.dry_run {
                tell_trial(&client, &name).await;
            }
            let changed = client.change_topology(request).await.map_err(refused)?;
            let mut shown = Shown::of(name, changed);
            shown.say();
            let is_kept = !self.wait || !shown.is_made || settle(&client, &mut shown).await?;
            let print = self.dry_run || self.which.output != Format::Table || shown.changes.is_empty();
            if print {
                output::value(self.which.output, &shown, || shown.text())?;
            }
            Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
    }

    fn request(
        &self,
        pipeline: &str,
        change: Change,
        variables: BTreeMap<String, String>,
    ) -> Result<admin::ChangeTopologyRequest> {
        let time = self.trial_time.map(TryInto::try_into).transpose().context("the trial's time is too long")?;
        Ok(admin::ChangeTopologyRequest {
            pipeline: pipeline.to_owned(),
            change: Some(change),
            is_dry_run: self.dry_run,
            plan_hash: self.plan_hash.clone().unwrap_or_default(),
            discards_state: self.discard_state,
            trial: Some(admin::Trial {
                is_skipped: self.no_trial,
                batches: self.trial_batches.unwrap_or_default(),
                time,
                max_rejected: self.trial_rejects,
            }),
            variables: variables.into_iter().collect(),
        })
    }
}

/// A pipeline file, as it is submitted.
pub(super) fn file(path: &Path, text: String) -> Result<admin::PipelineFile> {
    let lock = lockfile::path(path).as_deref().map(LockFile::read).transpose()?.flatten();
    Ok(admin::PipelineFile {
        name: path.display().to_string(),
        variables: attached::variables(&text).into_iter().collect(),
        text,
        base_dir: std::env::current_dir().context("cannot find the working directory")?.display().to_string(),
        plugins: Vec::new(),
        lock: lock.map(|lock| lock.text()).transpose()?.unwrap_or_default(),
    })
}

impl Shown {
    pub(super) fn of(pipeline: String, changed: admin::ChangeTopologyResponse) -> Self {
        let topology = changed.topology.unwrap_or_default();
        let millis = |micros: u64| micros as f64 / 1e3;
        Self {
            pipeline,
            changes: changed.changes,
            plan_hash: changed.plan_hash,
            is_at_checkpoint: changed.is_at_checkpoint,
            is_made: changed.is_made,
            chain: topology.line,
            revision: topology.revision,
            pause_ms: millis(changed.pause_us),
            took_ms: millis(changed.took_us),
            lost_batches: changed.n_lost,
            settled: None,
        }
    }

    /// Says what was measured, where it was made.
    pub(super) fn say(&self) {
        if !self.is_made {
            return;
        }
        status::say(&format!("  ✓ Topology updated: {}", self.chain));
        let pause = self.pause_ms;
        match self.lost_batches {
            0 => status::say(&format!("  ✓ no events lost, pause {pause:.2} ms")),
            n => status::warn(&format!("{n} batches were lost; pause {pause:.2} ms")),
        }
    }

    /// The plan, for people.
    fn text(&self) -> String {
        if self.changes.is_empty() {
            return "nothing would change".to_owned();
        }
        let manner = match self.is_at_checkpoint {
            true => "takes effect at the barrier of a checkpoint: sinks take what they have first",
            false => "takes effect in place, between two batches",
        };
        format!("{}\n{manner}\nthen: {}\nplan hash: {}", self.changes.join("\n"), self.chain, self.plan_hash)
    }
}

/// The pipeline that is meant: the one that is named, else the one that runs.
///
/// # Errors
///
/// When none runs, or several.
pub(super) async fn pipeline(client: &Client, named: Option<&str>) -> Result<String> {
    if let Some(name) = named {
        return Ok(name.to_owned());
    }
    let wanted = admin::ListPipelinesRequest { is_active: true, ..admin::ListPipelinesRequest::default() };
    let mut running: Vec<String> =
        client.pipelines(wanted).await.map_err(refused)?.into_iter().map(|pipeline| pipeline.name).collect();
    match running.len() {
        1 => Ok(running.remove(0)),
        0 => Err(Hinted::error("no pipeline runs", "`flowctl run FILE` starts one")),
        _ => {
            let names = running.join("`, `");
            Err(Hinted::error(format!("several pipelines run: `{names}`"), "name one with `--pipeline NAME`"))
        }
    }
}

/// Says so where another change is on trial: the next one waits until that is over.
pub(super) async fn tell_trial(client: &Client, pipeline: &str) {
    // whether there is such a pipeline is told by what is done to it
    let revisions = client.revisions(pipeline).await.unwrap_or_default();
    let is_tried = |status: &str| matches!(status, "on-trial" | "switching");
    if let Some(revision) = revisions.first().filter(|revision| is_tried(&revision.status)) {
        status::say(&format!("  waiting until revision {} is kept or rolled back", revision.number));
    }
}

/// Waits until a change is kept or rolled back; answers whether it is kept.
pub(super) async fn settle(client: &Client, shown: &mut Shown) -> Result<bool> {
    loop {
        let revisions = client.revisions(&shown.pipeline).await.map_err(refused)?;
        let revision = revisions.into_iter().find(|revision| revision.number == shown.revision);
        let Some(revision) = revision else { return Ok(true) };
        let is_kept = revision.status == "kept";
        if is_kept || revision.status == "rolled-back" {
            match is_kept {
                true => status::say("  ✓ kept"),
                false => status::warn(&format!("the change was rolled back: {}", revision.reason)),
            }
            shown.settled = Some(revision.status);
            return Ok(is_kept);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A component as the control plane finds it: files by their absolute path.
fn component(text: String) -> Result<String> {
    if !text.ends_with(".wasm") {
        return Ok(text);
    }
    let path = std::path::absolute(&text).with_context(|| format!("cannot resolve `{text}`"))?;
    Ok(path.display().to_string())
}

/// Reads a share of a whole.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a number from 0 to 1, such as `0.1`".to_owned())
}

/// Values by their path, as JSON, and the variables that they name.
fn as_json(values: Vec<(String, String)>) -> Result<(BTreeMap<String, String>, BTreeMap<String, String>)> {
    let values: BTreeMap<String, String> =
        values.into_iter().map(|(path, text)| (path, value(&text).to_string())).collect();
    let variables = attached::variables(&serde_json::to_string(&values)?);
    Ok((values, variables))
}

/// A value as JSON, where it is that, else a text.
fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Sets what `path` leads to.
fn set(config: &mut Value, path: &str, value: Value) -> Result<()> {
    let mut place = config;
    for step in path.split('.') {
        let fields = place.as_object_mut();
        let fields = fields.with_context(|| format!("`{path}` leads through a value that has no fields"))?;
        place = fields.entry(step).or_insert_with(|| Value::Object(Map::new()));
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_where_they_can_be() {
        assert_eq!(value("12"), Value::from(12));
        assert_eq!(value("true"), Value::Bool(true));
        assert_eq!(value("[1]"), serde_json::json!([1]));
        assert_eq!(value("GABC"), Value::from("GABC"));
        assert_eq!(value("\"12\""), Value::from("12"));
    }

    #[test]
    fn a_path_leads_into_fields() {
        let mut config = serde_json::json!({});
        set(&mut config, "a.b", value("1")).unwrap();
        set(&mut config, "a.c", value("x")).unwrap();
        assert_eq!(config, serde_json::json!({"a": {"b": 1, "c": "x"}}));
        assert!(set(&mut config, "a.b.d", value("1")).is_err());
    }
}
