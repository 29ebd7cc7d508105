//! What a connector may know of the pipeline that it works for.

use std::path::{Path, PathBuf};

use flowctl_types::NodeId;

use crate::base_dir::BaseDir;

/// The pipeline that a connector works for, and what of it outlives the process.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Its name.
    pub name: NodeId,
    /// Tells one life of its state from another: a pipeline that starts over has a new
    /// one. A transactional sink keeps its epoch under this id and its node's, so that
    /// it never takes the epoch of another state for its own.
    pub state_id: String,
    /// Whether nothing that it wrote counts: no epoch was committed under this id.
    pub is_new: bool,
    /// Its state directory. It may not exist yet.
    pub state_dir: PathBuf,
    /// Where relative paths of its configuration start; none for the working directory of
    /// the process. Ids and positions have paths as they are written.
    pub base_dir: Option<PathBuf>,
}

impl Pipeline {
    /// The folder for what the node `node` itself must keep. It may not exist yet.
    #[must_use]
    pub fn node_dir(&self, node: &NodeId) -> PathBuf {
        self.state_dir.join("nodes").join(node.as_str())
    }

    /// The path to open for one that the configuration writes. With a base directory it is
    /// absolute and without `..`.
    #[must_use]
    pub fn path(&self, written: impl AsRef<Path>) -> PathBuf {
        self.base().path(written)
    }

    pub(crate) fn base(&self) -> BaseDir<'_> {
        BaseDir(self.base_dir.as_deref())
    }
}
