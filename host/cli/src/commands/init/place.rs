//! The files that a pipeline becomes.
//!
//! Invariant: a file is written whole or not at all, and one that is there is replaced only
//! where that was said. Of several new files all are written, or none.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flowctl_types::NodeId;
use rustix::fs::Access;

use crate::paths::{self, Existing};
use crate::report::Hinted;

/// Refuses a path that no file can be written to.
///
/// # Errors
///
/// Why not, with a hint.
pub(super) fn check(path: &Path) -> Result<()> {
    let shown = path.display();
    // `-` is standard input to every command that would read it
    if path.file_name().is_none() || path.is_dir() || path == Path::new("-") {
        return Err(Hinted::error(format!("`{shown}` is no name of a file"), "name one, such as `pipeline.yaml`"));
    }
    let folder = Some(folder(path)).filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let message = format!("there is no folder `{}`", folder.display());
        return Err(Hinted::error(message, "make it first, or name another file"));
    }
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
        let message = format!("the folder `{}` cannot be written to: {error}", folder.display());
        Hinted::error(message, "name a file in another folder")
    })
}

/// The name that a pipeline has by its file; none where that has neither letter nor digit.
pub(super) fn name(path: &Path) -> Option<NodeId> {
    NodeId::from_any(&path.file_stem()?.to_string_lossy()).ok()
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
/// When one cannot be written. Those before it are there then where they replaced others, and
/// gone where they are new.
pub(super) fn write(files: &[(PathBuf, String)], existing: Existing) -> Result<()> {
    for (at, (path, text)) in files.iter().enumerate() {
        let written = paths::write_text(path, text, existing);
        if written.is_err() && existing == Existing::Kept {
            for (path, _) in &files[..at] {
                let _ = std::fs::remove_file(path);
            }
        }
        written.with_context(|| format!("cannot write `{}`", path.display()))?;
    }
    Ok(())
}

/// The error of files that are there. Those beside the `pipeline` have their names, whatever that is
/// called, and lie where it does.
pub(super) fn refused(taken: &[&Path], pipeline: &Path) -> anyhow::Error {
    let names: Vec<String> = taken.iter().map(|path| format!("`{}`", path.display())).collect();
    let (are, them) = if names.len() == 1 { ("is", "it") } else { ("are", "them") };
    let other = match taken.iter().all(|path| *path == pipeline) {
        true => "name another file",
        false => "name a file in another folder",
    };
    Hinted::error(
        format!("{} {are} there already: nothing was written", names.join(" and ")),
        format!("{other}, or replace {them} with `--force`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_along_is_avoided_by_another_folder() {
        let hint = |taken: &[&str]| {
            let taken: Vec<&Path> = taken.iter().map(Path::new).collect();
            crate::report::text(&refused(&taken, Path::new("shop.yaml"))).split_once("hint: ").unwrap().1.to_owned()
        };
        assert_eq!(hint(&["shop.yaml"]), "name another file, or replace it with `--force`");
        assert_eq!(hint(&["orders.wit"]), "name a file in another folder, or replace it with `--force`");
        assert_eq!(hint(&["orders.wit", "shop.yaml"]), "name a file in another folder, or replace them with `--force`");
    }

    #[test]
    fn of_several_new_files_all_are_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a", "b", "c"].map(|name| (folder.path().join(name), "new".to_owned()));
        let texts = || files.each_ref().map(|(path, _)| std::fs::read_to_string(path).ok());
        std::fs::write(&files[1].0, "mine").unwrap();
        let error = write(&files, Existing::Kept).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write `{}`", files[1].0.display()));
        assert_eq!(texts(), [None, Some("mine".to_owned()), None]);
        write(&files, Existing::Replaced).unwrap();
        assert_eq!(texts(), ["new"; 3].map(|text| Some(text.to_owned())));
    }
}
