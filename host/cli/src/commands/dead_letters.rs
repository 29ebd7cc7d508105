//! `flowctl dead-letters list | show | replay`.

pub(crate) mod letters;
mod replay;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use flowctl_runtime::Status;
use flowctl_topology::{Component, Topology};
use flowctl_types::{Code, NodeId, did_you_mean};

use self::letters::{Letter, Letters, Selection};
use crate::args::PluginArgs;
use crate::artifacts::Artifacts;
use crate::artifacts::args::RegistryArgs;
use crate::help::examples;
use crate::output::{self, Format};
use crate::pipeline::supply::{Reach, Supply};
use crate::report::Hinted;
use crate::session::{self, Voice};
use crate::state::{StateArgs, names_in};
use crate::{paths, pipeline, terminal};

/// Columns of the table. The last one is cut where a terminal has no place for it.
const HEADER: [&str; 6] = ["TIME", "NODE", "EVENT", "TYPE", "ATTEMPTS", "REASON"];

/// Characters of a reason that the table shows however narrow a terminal is.
const MIN_REASON_CHARS: usize = 20;

/// Events that the id of an unknown one is compared with.
const MAX_COMPARED: usize = 10_000;

/// The commands below `dead-letters`.
#[derive(Subcommand)]
#[command(after_help = examples(&[
    ("flowctl dead-letters list transfers", ""),
    ("flowctl dead-letters replay transfers.yaml", "put them back"),
]))]
pub(crate) enum DeadLetters {
    /// List the events that a pipeline set aside
    List(List),
    /// Show a letter with its payload, its reason and what the plugin wrote last
    Show(Show),
    /// Put events back in where they were refused, and remove the letters of those that are taken
    ///
    /// The pipeline must not be running. Its sources are not read; its processors have the state of the last
    /// checkpoint. A letter is removed when the sinks took its event; one that is refused again is a new letter. If this
    /// is killed in between, letters stay whose events were taken already.
    Replay(Replay),
}

/// Arguments of `dead-letters list`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl dead-letters list transfers", "by the pipeline's name"),
    ("flowctl dead-letters list transfers.yaml --node postgres --output json", "by its file"),
]))]
pub(crate) struct List {
    #[command(flatten)]
    of: Of,
    #[command(flatten)]
    selection: Selection,
    /// At most this many, from the oldest on
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    limit: usize,
    /// How to print them
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Arguments of `dead-letters show`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl dead-letters show transfers ledgers/100/2", "an event of `dead-letters list`"),
]))]
pub(crate) struct Show {
    #[command(flatten)]
    of: Of,
    /// The event's id, as `dead-letters list` prints it
    #[arg(value_name = "EVENT")]
    event: String,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// Arguments of `dead-letters replay`.
#[derive(Args)]
#[command(after_help = examples(&[
    ("flowctl dead-letters replay transfers.yaml", "all of them"),
    ("flowctl dead-letters replay transfers.yaml --node postgres", "those that one node refused"),
]))]
pub(crate) struct Replay {
    /// The pipeline's file: its nodes take the events
    #[arg(id = "letters_of", value_name = "FILE")]
    file: String,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    selection: Selection,
    /// Show no live figures and no status, only faults
    #[arg(short, long)]
    quiet: bool,
}

/// Whose letters.
#[derive(Args)]
struct Of {
    /// The pipeline: its file, or its name where its letters go to the state directory
    #[arg(id = "letters_of", value_name = "FILE | PIPELINE")]
    pipeline: String,
    #[command(flatten)]
    plugins: PluginArgs,
    #[command(flatten)]
    state: StateArgs,
}

impl DeadLetters {
    /// Does what was asked for.
    pub(crate) fn run(self) -> Result<ExitCode> {
        match self {
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::Replay(replay) => replay.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<ExitCode> {
        let (mut found, mut nodes) = (Vec::new(), BTreeSet::new());
        let mut is_more = false;
        if let Some(mut letters) = Letters::open(&self.of.file()?, 0)? {
            while let Some((letter, _)) = letters.next()? {
                nodes.insert(letter.node.clone());
                if self.selection.holds(&letter) {
                    if found.len() == self.limit {
                        is_more = true;
                        break;
                    }
                    found.push(letter);
                }
            }
        }
        if found.is_empty() {
            self.selection.say_near(&nodes);
        }
        output::value(self.output, &found, || {
            let is_terminal = std::io::stdout().is_terminal();
            listing(&found, is_terminal.then(|| terminal::width(std::io::stdout())))
        })?;
        if is_more {
            Voice::Normal.say(&format!("there are more: --limit is {}", self.limit));
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    fn run(self) -> Result<ExitCode> {
        let file = self.of.file()?;
        let mut ids = Vec::new();
        if let Some(mut letters) = Letters::open(&file, 0)? {
            while let Some((letter, _)) = letters.next()? {
                if letter.event_id == self.event {
                    output::value(self.output, &letter, || text(&letter))?;
                    return Ok(ExitCode::SUCCESS);
                }
                if ids.len() < MAX_COMPARED {
                    ids.push(letter.event_id);
                }
            }
        }
        let near = did_you_mean(&self.event, ids.iter().map(String::as_str));
        Err(Hinted::coded(
            Code::UnknownDeadLetter,
            format!("there is no letter of event `{}` in `{}`", self.event, file.display()),
            near.unwrap_or_else(|| "`flowctl dead-letters list` shows them all".to_owned()),
        ))
    }
}

impl Replay {
    fn run(self) -> Result<ExitCode> {
        if !is_file(&self.file) {
            return Err(Hinted::error(
                format!("`{}` is no pipeline file", self.file),
                "events are put back into a pipeline: name its file",
            ));
        }
        let artifacts = Artifacts::new(RegistryArgs::default())?;
        let live = self.plugins.plane.live()?;
        let supply = Supply { reach: Reach::Network, ..Supply::here(&self.plugins.plugins, &artifacts, &live) };
        let planned = pipeline::load(Path::new(&self.file), &supply)?;
        session::check_available(&planned.topology)?;
        let name = &planned.document.name;
        let file = letter_file(&planned.topology, &self.state.dir(name)?)?;
        let state = self.state.open(name)?;
        let voice = if self.quiet { Voice::Quiet } else { Voice::Normal };
        let Some(replayed) = replay::run(&planned, &state, &file, &self.selection, voice)? else {
            voice.say("no letters to put back");
            self.selection.say_near(&nodes_of(&file)?);
            return Ok(ExitCode::SUCCESS);
        };
        session::say_end(name, &replayed.summary, voice);
        for (reason, n_letters) in &replayed.stuck {
            voice.say(&format!("{n_letters} letters stay: {reason}"));
        }
        Ok(if replayed.summary.status == Status::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

impl Of {
    /// The file that the letters are in.
    fn file(&self) -> Result<PathBuf> {
        if is_file(&self.pipeline) {
            let artifacts = Artifacts::new(RegistryArgs::default())?;
            let live = self.plugins.plane.live()?;
            let supply = Supply::here(&self.plugins.plugins, &artifacts, &live);
            let planned = pipeline::load(Path::new(&self.pipeline), &supply)?;
            return letter_file(&planned.topology, &self.state.dir(&planned.document.name)?);
        }
        let name: NodeId = self.pipeline.parse().map_err(|_| {
            Hinted::error(
                format!("`{}` is neither a file nor a pipeline's name", self.pipeline),
                "name the pipeline's file, or its `metadata.name`",
            )
        })?;
        let dir = self.state.dir(&name)?;
        if !dir.is_dir() {
            let folders = names_in(&self.state.base()?);
            let near = did_you_mean(name.as_str(), folders.iter().map(String::as_str));
            return Err(Hinted::coded(
                Code::NotThere,
                format!("pipeline `{name}` has no state in `{}`", dir.display()),
                near.unwrap_or_else(|| "name the folder that it runs with: --state-dir".to_owned()),
            ));
        }
        Ok(paths::dead_letters(&dir))
    }
}

/// The nodes that letters in a file are of.
fn nodes_of(file: &Path) -> Result<BTreeSet<NodeId>> {
    let mut nodes = BTreeSet::new();
    if let Some(mut letters) = Letters::open(file, 0)? {
        while let Some((letter, _)) = letters.next()? {
            nodes.insert(letter.node);
        }
    }
    Ok(nodes)
}

fn is_file(pipeline: &str) -> bool {
    Path::new(pipeline).is_file() || pipeline.contains(['/', '.'])
}

/// The file that a pipeline's letters go to.
fn letter_file(topology: &Topology, state_dir: &Path) -> Result<PathBuf> {
    let Some(node) = &topology.dead_letter else { return Ok(paths::dead_letters(state_dir)) };
    match &node.component {
        Component::Connector { name } if name == "file" => {
            Ok(PathBuf::from(node.config["path"].as_str().unwrap_or_default()))
        }
        other => Err(Hinted::error(
            format!("the dead letters of this pipeline go to the sink `{}`, not to a file", other.name()),
            "look for them there; events of its type are `flowctl.dead.letter.v1`",
        )),
    }
}

/// The table of `letters`. Reasons are cut to what is left of so many columns; where there is no
/// limit, they stay whole.
fn listing(letters: &[Letter], columns: Option<usize>) -> String {
    let mut rows: Vec<Vec<String>> = letters.iter().map(row).collect();
    let whole = output::table(&HEADER, &rows);
    let Some((columns, before)) = columns.zip(whole.find(HEADER[5])) else { return whole };
    let n_chars = columns.saturating_sub(before).max(MIN_REASON_CHARS);
    for reason in rows.iter_mut().filter_map(|row| row.last_mut()) {
        *reason = output::cut(reason, n_chars);
    }
    output::table(&HEADER, &rows)
}

fn row(letter: &Letter) -> Vec<String> {
    let reason = letter.reason.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let event_type = letter.event_type.clone().unwrap_or_else(|| "-".to_owned());
    let attempts = letter.attempts.to_string();
    vec![letter.time.clone(), letter.node.to_string(), letter.event_id.clone(), event_type, attempts, reason]
}

fn text(letter: &Letter) -> String {
    let optional = |value: &Option<String>| value.clone().unwrap_or_default();
    let payload = letter.payload.as_ref().map(|json| json.get().to_owned());
    let lines = [
        ("event", letter.event_id.clone()),
        ("type", optional(&letter.event_type)),
        ("time", letter.time.clone()),
        ("node", letter.node.to_string()),
        ("plugin", optional(&letter.plugin)),
        ("position", optional(&letter.position)),
        ("attempts", letter.attempts.to_string()),
        ("reason", letter.reason.clone()),
        ("log", letter.log_tail.clone()),
        ("payload", payload.unwrap_or_default()),
        ("as read", optional(&letter.payload_text)),
        ("in base64", optional(&letter.payload_base64)),
    ];
    let lines = lines.iter().filter(|(_, value)| !value.is_empty());
    lines.map(|(label, value)| format!("{label:<11}{}\n", value.replace('\n', "\n           "))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_by_a_terminal_alone() {
        let letter = serde_json::json!({
            "time": "2026-01-01T00:00:00Z", "node": "out", "event_id": "orders/7", "attempts": 1,
            "reason": format!("{}\nthe end", "x".repeat(100)),
        });
        let letters: [Letter; 1] = [serde_json::from_str(&letter.to_string()).unwrap()];
        let whole = listing(&letters, None);
        assert!(whole.lines().count() == 2 && whole.ends_with(&format!("{} the end\n", "x".repeat(100))), "{whole}");
        let widest = |columns| listing(&letters, Some(columns)).lines().map(|line| line.chars().count()).max();
        assert_eq!(listing(&letters, Some(300)), whole);
        assert_eq!(widest(80), Some(80));
        assert!(listing(&letters, Some(80)).trim_end().ends_with("x…"));
        // what tells the events apart stays
        assert!(listing(&letters, Some(10)).contains(&format!("orders/7  -     1         {}…\n", "x".repeat(19))));
    }
}
