//! Why what is stored cannot be used.

use std::path::PathBuf;

use flowctl_types::Code;

/// Why what is stored cannot be used, or not as was asked. Nothing of it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file or folder of it cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried, such as `create`, `open` or `write`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        #[source]
        source: std::io::Error,
    },
    /// Another process runs the pipeline.
    #[error("the pipeline runs already, in process {pid}: it holds `{}`", path.display())]
    Held {
        /// The process, as it wrote it down; `of unknown number` where it has not yet.
        pid: String,
        /// The lock.
        path: PathBuf,
    },
    /// Another process serves the control plane of this state directory.
    #[error("the control plane of this state directory is served already, by process {pid}: it holds `{}`", path.display())]
    Served {
        /// The process, as it wrote it down.
        pid: String,
        /// The lock.
        path: PathBuf,
    },
    /// The database is damaged, or no database.
    #[error("the database `{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What becomes of it without the database.
        loss: &'static str,
    },
    /// The database was written by a later version of flowctl.
    #[error("the database `{}` has format {found}; this flowctl knows formats up to {known}", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The last format that this build knows.
        known: i64,
    },
    /// The state is that of another pipeline.
    #[error("`{}` holds the state of pipeline `{found}`", path.display())]
    Other {
        /// The database.
        path: PathBuf,
        /// Whose it is.
        found: String,
    },
    /// The database failed.
    #[error("the database `{}` failed", path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What it answered.
        #[source]
        source: rusqlite::Error,
    },
    /// The tenant has no such pipeline.
    #[error("there is no pipeline `{pipeline}` of tenant `{tenant}`")]
    NoPipeline {
        /// The tenant.
        tenant: String,
        /// The pipeline.
        pipeline: String,
    },
    /// There is no such run.
    #[error("there is no run `{id}`")]
    NoRun {
        /// The run.
        id: String,
    },
    /// What is to be forgotten runs.
    #[error("pipeline `{pipeline}` runs")]
    Runs {
        /// The pipeline.
        pipeline: String,
    },
    /// What is to be added is there already.
    #[error("{object} is there already")]
    Exists {
        /// What it is, with its name.
        object: String,
    },
}

impl StateError {
    /// Its code, where it has one.
    #[must_use]
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Held { .. } | Self::Served { .. } => Some(Code::StateInUse),
            Self::Damaged { .. } | Self::Newer { .. } => Some(Code::StateDamaged),
            Self::File { .. } | Self::Other { .. } | Self::Database { .. } => Some(Code::StateUnusable),
            Self::NoPipeline { .. } | Self::NoRun { .. } => Some(Code::NotThere),
            Self::Runs { .. } => Some(Code::RunsAlready),
            Self::Exists { .. } => None,
        }
    }

    /// What to do about it, where that is more than the message says.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Held { .. } => {
                Some("stop that process first, or run with another `--state-dir` or `metadata.name`".to_owned())
            }
            Self::Served { .. } => Some("stop that process first, or serve another `--state-dir`".to_owned()),
            Self::Damaged { path, loss, .. } => {
                Some(format!("restore `{}` from a copy, or remove it: {loss}", path.display()))
            }
            Self::Runs { .. } => Some("stop it first".to_owned()),
            Self::NoPipeline { .. } | Self::NoRun { .. } | Self::Exists { .. } => None,
            Self::Newer { .. } => Some("run it with the flowctl that wrote it, or a later one".to_owned()),
            Self::Other { .. } => Some("name another folder with --state-dir".to_owned()),
            Self::File { source, .. } => match source.kind() {
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    Some("make it writable, or name another folder with --state-dir".to_owned())
                }
                std::io::ErrorKind::StorageFull => Some("make room, then start again: nothing is lost".to_owned()),
                _ => None,
            },
            Self::Database { source, .. } => match source.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DiskFull) => Some("make room, then start again: nothing is lost".to_owned()),
                // also said where the disk is so full that not even the index of the log fits
                Some(rusqlite::ErrorCode::SystemIoFailure) => {
                    Some("see that the disk is sound and has room, then start again: nothing is lost".to_owned())
                }
                Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen) => {
                    Some("make it writable, or name another folder with --state-dir".to_owned())
                }
                _ => None,
            },
        }
    }
}
