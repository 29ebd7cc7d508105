//! The first ledger, and what remembers it.
//!
//! What `latest` and `oldest` stand for is different a moment later, but a pipeline that
//! is interrupted before its first checkpoint must read the same ledgers again. So the
//! ledger is kept in the node's folder as soon as it is found, for as long as the
//! pipeline's state lives.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use flowctl_runtime::Fault;
use flowctl_topology::Node;
use serde::{Deserialize, Serialize};

use super::NAME;
use crate::{ConnectorError, Pipeline};

/// The setting `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Start {
    /// With the last ledger that the server has.
    Latest,
    /// With the first that it still has.
    Oldest,
    /// With this one.
    Ledger(u32),
}

impl Start {
    pub(super) fn read(text: &str) -> Result<Self, ConnectorError> {
        match (text, text.parse()) {
            ("latest", _) => Ok(Self::Latest),
            ("oldest", _) => Ok(Self::Oldest),
            // the first ledger of a network has number 1
            (_, Ok(sequence)) if sequence > 0 => Ok(Self::Ledger(sequence)),
            _ => {
                let reason = format!("is `{}`: write `latest`, `oldest`, or a ledger's number", text.escape_debug());
                Err(ConnectorError::field(NAME, "start", reason))
            }
        }
    }
}

/// Remembers the first ledger.
#[derive(Debug, Clone)]
pub(super) struct Memo {
    start: Start,
    state_id: String,
    folder: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    state_id: String,
    start: Start,
    ledger: u32,
}

impl Memo {
    pub(super) fn new(start: Start, node: &Node, pipeline: &Pipeline) -> Self {
        Self { start, state_id: pipeline.state_id.clone(), folder: pipeline.node_dir(&node.id) }
    }

    /// What `start` stood for when this state of the pipeline began. What another state
    /// left is nothing.
    pub(super) fn read(&self) -> Result<Option<u32>, Fault> {
        let path = self.path();
        match fs::read(&path) {
            Ok(text) => match serde_json::from_slice::<Stored>(&text) {
                Ok(stored) if stored.state_id == self.state_id && stored.start == self.start => Ok(Some(stored.ledger)),
                Ok(_) => Ok(None),
                Err(error) => Err(Fault::Fatal(format!(
                    "`{}` is damaged: {error}; remove it, and the pipeline starts at `start`",
                    path.display()
                ))),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Fault::Fatal(format!("cannot read `{}`: {error}", path.display()))),
        }
    }

    /// Keeps `ledger`, durably: a half-written file never takes the place of a whole one.
    pub(super) fn write(&self, ledger: u32) -> Result<(), Fault> {
        let path = self.path();
        let stored = Stored { state_id: self.state_id.clone(), start: self.start, ledger };
        let text = serde_json::to_vec(&stored).expect("plain values");
        let write = || {
            fs::create_dir_all(&self.folder)?;
            let draft = path.with_extension("draft");
            let mut file = File::create(&draft)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&draft, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error: io::Error| {
            Fault::Fatal(format!(
                "cannot remember the first ledger in `{}`: {error}; or name it: `start: \"{ledger}\"`",
                path.display()
            ))
        })
    }

    fn path(&self) -> PathBuf {
        self.folder.join("start.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memo(folder: &tempfile::TempDir, start: Start, state_id: &str) -> Memo {
        Memo { start, state_id: state_id.to_owned(), folder: folder.path().join("nodes/ledgers") }
    }

    #[test]
    fn a_start_is_a_word_or_a_number() {
        let check = |text: &str, want: Start| assert_eq!(Start::read(text).unwrap(), want);
        check("latest", Start::Latest);
        check("oldest", Start::Oldest);
        check("1410048", Start::Ledger(1_410_048));
        for bad in ["", "0", "-1", "newest", "4294967296", "1.5"] {
            let want = format!("`start` of `stellar-rpc` is `{bad}`: write `latest`, `oldest`, or a ledger's number");
            assert_eq!(Start::read(bad).unwrap_err().to_string(), want);
        }
    }

    #[test]
    fn a_first_ledger_is_remembered_for_one_state_and_one_start() {
        let folder = tempfile::tempdir().unwrap();
        let ours = memo(&folder, Start::Latest, "a");
        assert_eq!(ours.read(), Ok(None));
        ours.write(7).unwrap();
        ours.write(8).unwrap();
        assert_eq!(ours.read(), Ok(Some(8)));
        assert_eq!(memo(&folder, Start::Latest, "b").read(), Ok(None));
        assert_eq!(memo(&folder, Start::Oldest, "a").read(), Ok(None));
    }

    #[test]
    fn a_damaged_memo_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let ours = memo(&folder, Start::Latest, "a");
        ours.write(7).unwrap();
        fs::write(ours.path(), "{").unwrap();
        assert!(ours.read().unwrap_err().to_string().contains("start.json` is damaged"));
    }
}
