//! The files that a pipeline becomes.
//!
//! Invariant: a file is written whole or not at all, and one that is there is replaced only
//! where that was said.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::paths::{self, Existing};
use crate::report::Hinted;

/// Refuses a path that no file can be written to.
///
/// # Errors
///
/// Why not, with a hint.
pub(super) fn check(path: &Path) -> Result<()> {
    let shown = path.display();
    if path.file_name().is_none() || path.is_dir() {
        return Err(Hinted::error(format!("`{shown}` is no name of a file"), "name one, such as `pipeline.yaml`"));
    }
    let folder = folder(path);
    if !folder.as_os_str().is_empty() && !folder.is_dir() {
        let message = format!("there is no folder `{}`", folder.display());
        return Err(Hinted::error(message, "make it first, or name another file"));
    }
    Ok(())
}

/// The folder of a file; empty where it is the one that flowctl runs in.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Those of `files` that are there.
pub(super) fn taken(files: &[(PathBuf, String)]) -> Vec<&Path> {
    files.iter().map(|(path, _)| path.as_path()).filter(|path| path.symlink_metadata().is_ok()).collect()
}

/// Writes all of `files`; the last one is the pipeline, which then finds the others.
///
/// # Errors
///
/// When one cannot be written; those before it are there then.
pub(super) fn write(files: &[(PathBuf, String)], existing: Existing) -> Result<()> {
    for (path, text) in files {
        paths::write_text(path, text, existing).with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// The error of files that are there.
pub(super) fn refused(taken: &[&Path]) -> anyhow::Error {
    let names: Vec<String> = taken.iter().map(|path| format!("`{}`", path.display())).collect();
    let are = if names.len() == 1 { "is" } else { "are" };
    Hinted::error(
        format!("{} {are} there already: nothing was written", names.join(" and ")),
        "name another file, or replace it with `--force`",
    )
}
