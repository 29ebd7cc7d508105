//! Why the spool cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use flowctl_runtime::Fault;
use rusqlite::ErrorCode;

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::http_source) enum SpoolError {
    #[error("cannot {action} `{}`: {source}; the pipeline's state directory must be one that flowctl can write to", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` is held by another source: is this pipeline running twice?", path.display())]
    Busy { path: PathBuf },
    #[error(
        "`{}` is damaged: {source}; to start with an empty spool, move the file away, with the events that were accepted and not yet taken",
        path.display()
    )]
    Damaged {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("`{}` is no spool that can be read: {reason}; move it away to start with an empty one", path.display())]
    Foreign { path: PathBuf, reason: String },
    #[error(
        "`{}` holds {n_waiting} events that were accepted as `{event_type}` in another structure than it has by now: run the pipeline as it was until they are taken, or move the file away, with them",
        path.display()
    )]
    OtherType { path: PathBuf, n_waiting: i64, event_type: String },
    #[error("no space is left for `{}`: {source}", path.display())]
    DiskFull {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("cannot write `{}`: {source}; the pipeline's state directory must be one that flowctl can write to", path.display())]
    ReadOnly {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("cannot use `{}`: {source}", path.display())]
    Failed {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
}

impl SpoolError {
    pub(super) fn new(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged { path, source },
            Some(ErrorCode::DiskFull) => Self::DiskFull { path, source },
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Self::ReadOnly { path, source }
            }
            // a statement that does not fit the tables, or a value of another type
            Some(ErrorCode::Unknown) | None => Self::Damaged { path, source },
            Some(_) => Self::Failed { path, source },
        }
    }

    /// What it means to the source. Disks become less full, and other sources end.
    pub(in crate::http_source) fn fault(&self) -> Fault {
        match self {
            Self::Busy { .. } | Self::DiskFull { .. } | Self::Failed { .. } => Fault::Retry(self.to_string()),
            Self::File { source, .. }
                if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                Fault::Retry(self.to_string())
            }
            _ => Fault::Fatal(self.to_string()),
        }
    }
}
