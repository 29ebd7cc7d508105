//! Golden cases of a processor: a folder each, below `cases/` of its crate.
//!
//! `input.jsonl` has the events that go in, `config.yaml` the configuration, if any, and
//! `expected.jsonl` what has to come of them. A line is the JSON form of an event; where the
//! processor takes, or makes, events of several types, it is `{"type": …, "event": …}`, as
//! sinks write it. Events that are refused stand behind those that came out, as
//! `{"$rejected": "the reason", "line": 2}` with their line in `input.jsonl`. Empty lines
//! do not count.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use flowctl_schema::{ConfigFault, Contract, Schema};
use flowctl_types::{all_of, did_you_mean, one_of};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::paths::read_text;
use crate::report::Hinted;

/// The folder of cases in a crate.
const FOLDER: &str = "cases";
/// What has to come out.
const EXPECTED: &str = "expected.jsonl";
/// Largest file that is read, and most that may come out of a case.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// A case, by its folder.
pub(super) struct Case {
    /// The folder's name.
    pub(super) name: String,
    folder: PathBuf,
}

/// What goes into a case.
pub(super) struct Input {
    /// The events, in order.
    pub(super) events: Vec<Given>,
    /// The configuration; an object.
    pub(super) config: Value,
}

/// An event that goes in.
pub(super) struct Given {
    /// Its line, from 1 on.
    pub(super) line: u64,
    /// The index of its type among the processor's inputs.
    pub(super) kind: u32,
    /// Its payload.
    pub(super) payload: Vec<u8>,
}

/// A line of the file of what is expected.
pub(super) struct ExpectedLine {
    /// Its number, from 1 on.
    pub(super) number: u64,
    /// As it is written.
    pub(super) text: String,
}

/// A line of input where there are several types.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed<'a> {
    r#type: String,
    #[serde(borrow)]
    event: &'a RawValue,
}

/// Finds the cases of the crate in `folder`, by name; `wanted` are those that are asked for,
/// all where that is empty.
///
/// # Errors
///
/// When there is none, or one of those that are wanted is missing.
pub(super) fn find(folder: &Path, wanted: &[String]) -> Result<Vec<Case>> {
    let cases = folder.join(FOLDER);
    let what = || format!("cannot read the folder `{}`", cases.display());
    let mut found = Vec::new();
    let entries = match fs::read_dir(&cases) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        entries => Some(entries.with_context(what)?),
    };
    for entry in entries.into_iter().flatten() {
        let folder = entry.with_context(what)?.path();
        if folder.is_dir() {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push(Case { name, folder });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    if found.is_empty() {
        return Err(Hinted::error(
            format!("there is no case in `{}`", cases.display()),
            "make `cases/NAME/input.jsonl` with an event a line; then `--bless` writes what comes out",
        ));
    }
    if let Some(missing) = wanted.iter().find(|name| !found.iter().any(|case| case.name == **name)) {
        let names: Vec<&str> = found.iter().map(|case| case.name.as_str()).collect();
        return Err(Hinted::error(
            format!("there is no case `{missing}` in `{}`", cases.display()),
            did_you_mean(missing, names.iter().copied()).unwrap_or_else(|| format!("there are {}", all_of(&names))),
        ));
    }
    found.retain(|case| wanted.is_empty() || wanted.contains(&case.name));
    Ok(found)
}

impl Case {
    /// Reads what goes in.
    ///
    /// # Errors
    ///
    /// When a line is no event that the processor takes, or the configuration is not one
    /// that it takes.
    pub(super) fn input(&self, contract: &Contract) -> Result<Input> {
        let path = self.folder.join("input.jsonl");
        let text = read_text(&path, MAX_BYTES).with_context(|| format!("cannot read `{}`", path.display()))?;
        let mut events = Vec::new();
        for (line, text) in lines(&text) {
            let event = event(text, &contract.inputs);
            let (kind, payload) = event.map_err(|reason| anyhow!("{}:{line}: {reason}", path.display()))?;
            events.push(Given { line, kind, payload });
        }
        if events.is_empty() {
            return Err(Hinted::error(
                format!("`{}` has no event", path.display()),
                "a case needs something that goes in: write an event a line",
            ));
        }
        Ok(Input { events, config: self.config(contract)? })
    }

    fn config(&self, contract: &Contract) -> Result<Value> {
        let nothing = Value::Object(serde_json::Map::new());
        let path = self.folder.join("config.yaml");
        let shown = path.display();
        let text = match read_text(&path, MAX_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.with_context(|| format!("cannot read `{shown}`"))?,
        };
        let config = match serde_saphyr::from_str::<Option<Value>>(&text) {
            Ok(config) => config.unwrap_or(nothing),
            Err(error) => return Err(anyhow!("`{shown}` is no configuration: {error}")),
        };
        let place = |fault: &ConfigFault| match fault.path.as_slice() {
            [] => fault.message.clone(),
            path => format!("{}: {}", path.join("."), fault.message),
        };
        let faults = match &contract.config {
            Some(schema) => schema.check(&config).err().unwrap_or_default(),
            None if config.as_object().is_none_or(|fields| !fields.is_empty()) => {
                return Err(anyhow!("`{shown}` configures a processor that has no configuration"));
            }
            None => Vec::new(),
        };
        match faults.as_slice() {
            [] => Ok(config),
            faults => {
                let texts: Vec<String> = faults.iter().map(place).collect();
                Err(anyhow!("`{shown}` does not fit the processor: {}", texts.join("; ")))
            }
        }
    }

    /// What has to come out.
    ///
    /// # Errors
    ///
    /// When that is not there, or a line is no JSON.
    pub(super) fn expected(&self) -> Result<Vec<ExpectedLine>> {
        let path = self.folder.join(EXPECTED);
        let text = match read_text(&path, MAX_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Hinted::error(
                    format!("the case `{}` has no {EXPECTED}, so it cannot fail", self.name),
                    "`flowctl processors test --bless` writes what comes out; read it before you keep it",
                ));
            }
            text => text.with_context(|| format!("cannot read `{}`", path.display()))?,
        };
        let line = |(number, text): (u64, &str)| match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Ok(ExpectedLine { number, text: text.to_owned() }),
            Err(error) => Err(anyhow!("{}:{number}: it is no JSON: {error}", path.display())),
        };
        lines(&text).map(line).collect()
    }

    /// Writes what came out as what has to. Answers whether that is something else than
    /// before.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(super) fn bless(&self, came: &[String]) -> Result<bool> {
        let path = self.folder.join(EXPECTED);
        let text: String = came.iter().map(|line| format!("{line}\n")).collect();
        if read_text(&path, MAX_BYTES).is_ok_and(|before| before == text) {
            return Ok(false);
        }
        fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(true)
    }
}

/// The lines that are not empty, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty())
}

/// The kind and the payload of an event.
fn event(text: &str, schemas: &[Schema]) -> Result<(u32, Vec<u8>), String> {
    let (kind, json) = match schemas {
        [_] => (0, text),
        several => {
            let typed: Typed<'_> = serde_json::from_str(text).map_err(|error| {
                format!("the processor takes several types, write {{\"type\": …, \"event\": …}}: {error}")
            })?;
            let kind = several.iter().position(|schema| schema.event_type().as_str() == typed.r#type);
            let kind = kind.ok_or_else(|| {
                let names: Vec<&str> = several.iter().map(|schema| schema.event_type().as_str()).collect();
                format!("the processor takes no `{}`, but {}", typed.r#type, one_of(&names))
            })?;
            (kind, typed.event.get())
        }
    };
    let mut payload = Vec::new();
    schemas[kind].json_to_payload(json.as_bytes(), &mut payload).map_err(|error| error.to_string())?;
    Ok((u32::try_from(kind).unwrap_or(u32::MAX), payload))
}
