//! Folders that are for their owner alone.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::StateError;

/// Creates the folder `dir`, and those above it, for this user alone where they are missing.
pub(crate) fn create(dir: &Path) -> Result<(), StateError> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    created.map_err(|source| StateError::File { action: "create", path: dir.to_owned(), source })
}
