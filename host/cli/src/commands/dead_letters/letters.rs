//! Dead letters as they lie in a file: one JSON object a line.
//!
//! Invariant: a file is read as a stream, so it may be larger than memory; a line that is
//! no letter is named, never passed over.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowctl_types::{NodeId, did_you_mean};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::report::Hinted;
use crate::status;

/// A letter that was kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) time: String,
    #[serde(deserialize_with = "node")]
    pub(crate) node: NodeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plugin: Option<String>,
    pub(crate) event_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) event_type: Option<String>,
    pub(crate) reason: String,
    pub(crate) attempts: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) log_tail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payload_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payload_base64: Option<String>,
}

/// Which letters are meant; all that agree with every given part.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Selection {
    /// Only the letter of this event, by its id; may be repeated
    #[arg(long = "event", value_name = "EVENT")]
    pub(crate) events: Vec<String>,
    /// Only letters of this node; may be repeated
    #[arg(long = "node", value_name = "NODE")]
    pub(crate) nodes: Vec<NodeId>,
}

/// Reads the letters of a file one after the other.
pub(crate) struct Letters {
    path: PathBuf,
    lines: std::io::Take<BufReader<File>>,
    line: String,
    /// Lines read so far.
    n_lines: u64,
    /// Bytes read so far.
    offset: u64,
}

impl Letters {
    /// Reads the file `path` from `offset` to where it ends now; none where there is no file.
    pub(crate) fn open(path: &Path, offset: u64) -> Result<Option<Self>> {
        use std::io::{ErrorKind, Seek as _, SeekFrom};
        let what = || format!("cannot read the dead letters in `{}`", path.display());
        let mut file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.with_context(what)?,
        };
        let length = file.metadata().with_context(what)?.len();
        file.seek(SeekFrom::Start(offset)).with_context(what)?;
        let lines = BufReader::new(file).take(length.saturating_sub(offset));
        Ok(Some(Self { path: path.to_owned(), lines, line: String::new(), n_lines: 0, offset }))
    }

    /// The next letter with its line's text; none at the end. Half a line at the end, which
    /// a crash left, is passed over.
    pub(crate) fn next(&mut self) -> Result<Option<(Letter, &str)>> {
        self.line.clear();
        let what = || format!("cannot read the dead letters in `{}`", self.path.display());
        let n_bytes = self.lines.read_line(&mut self.line).with_context(what)?;
        if n_bytes == 0 || !self.line.ends_with('\n') {
            return Ok(None);
        }
        self.n_lines += 1;
        self.offset += n_bytes as u64;
        match serde_json::from_str(&self.line) {
            Ok(letter) => Ok(Some((letter, &self.line))),
            Err(error) => Err(Hinted::error(
                format!("line {} of `{}` is no dead letter: {error}", self.n_lines, self.path.display()),
                "mend the line or remove it; nothing was changed",
            )),
        }
    }

    /// Bytes read so far, from the start of the file.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }
}

fn node<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<NodeId, D::Error> {
    let name = String::deserialize(deserializer)?;
    name.parse().map_err(serde::de::Error::custom)
}

impl Letter {
    /// What was read or emitted, as JSON or as it was.
    pub(crate) fn payload(&self) -> Result<Payload<'_>, String> {
        if let Some(json) = &self.payload {
            return Ok(Payload::Json(json.get().as_bytes()));
        }
        if let Some(text) = &self.payload_text {
            return Ok(Payload::Raw(text.as_bytes().to_vec()));
        }
        let text = self.payload_base64.as_deref().unwrap_or_default();
        STANDARD.decode(text).map(Payload::Raw).map_err(|error| format!("its payload is no base64: {error}"))
    }
}

/// A payload in one of its forms.
pub(crate) enum Payload<'a> {
    /// The JSON form of an event of its type.
    Json(&'a [u8]),
    /// Bytes of which no event could be made.
    Raw(Vec<u8>),
}

impl Selection {
    /// Says of each node that is asked for and has no letters which of `nodes` may be meant.
    pub(crate) fn say_near(&self, nodes: &BTreeSet<NodeId>) {
        for node in self.nodes.iter().filter(|node| !nodes.contains(*node)) {
            let near = did_you_mean(node.as_str(), nodes.iter().map(NodeId::as_str));
            let near = near.map(|near| format!("; {near}")).unwrap_or_default();
            status::say(&format!("node `{node}` has no letters{near}"));
        }
    }

    /// Whether the letter is meant.
    pub(crate) fn holds(&self, letter: &Letter) -> bool {
        (self.events.is_empty() || self.events.contains(&letter.event_id))
            && (self.nodes.is_empty() || self.nodes.contains(&letter.node))
    }
}
