//! Where flowctl keeps its files, the XDG base directories, and reading and writing small ones.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::{Path, PathBuf};

/// `$XDG_CACHE_HOME/flowctl`, else `~/.cache/flowctl`; none without a home.
pub(crate) fn cache() -> Option<PathBuf> {
    base("XDG_CACHE_HOME", ".cache")
}

/// `$XDG_STATE_HOME/flowctl`, else `~/.local/state/flowctl`; none without a home.
pub(crate) fn state() -> Option<PathBuf> {
    base("XDG_STATE_HOME", ".local/state")
}

/// `$XDG_DATA_HOME/flowctl`, else `~/.local/share/flowctl`; none without a home.
pub(crate) fn data() -> Option<PathBuf> {
    base("XDG_DATA_HOME", ".local/share")
}

/// `$XDG_CONFIG_HOME/flowctl`, else `~/.config/flowctl`; none without a home.
pub(crate) fn config() -> Option<PathBuf> {
    base("XDG_CONFIG_HOME", ".config")
}

/// The folder of docker's configuration: `$DOCKER_CONFIG`, else `~/.docker`; none without
/// a home.
pub(crate) fn docker_config() -> Option<PathBuf> {
    let named = std::env::var_os("DOCKER_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    named.or_else(|| Some(absolute(std::env::var_os("HOME"))?.join(".docker")))
}

/// The file of dead letters in a pipeline's state directory.
pub(crate) fn dead_letters(state_dir: &Path) -> PathBuf {
    state_dir.join("dead-letters.jsonl")
}

fn base(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = absolute(std::env::var_os(variable));
    let home = || absolute(std::env::var_os("HOME")).map(|home| home.join(below_home));
    Some(set.or_else(home)?.join("flowctl"))
}

/// The specification has relative paths ignored; an empty one is relative too.
fn absolute(said: Option<OsString>) -> Option<PathBuf> {
    said.map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Reads a file of text. One that is longer than `max_bytes` is an error: what is cut could
/// still be read, and say something else.
pub(crate) fn read_text(path: &Path, max_bytes: u64) -> io::Result<String> {
    let mut text = String::new();
    let n_bytes = File::open(path)?.take(max_bytes + 1).read_to_string(&mut text)?;
    if n_bytes as u64 > max_bytes {
        return Err(io::Error::other(format!("it has more than {max_bytes} bytes")));
    }
    Ok(text)
}

/// What is to become of a file that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays, and writing fails.
    Kept,
    /// It is replaced: whoever reads it finds the old or the new text. Its permissions stay, and
    /// its owner and group where they can. What a link leads to is meant.
    Replaced,
}

/// Writes a file as a whole: after a failure, or a power cut, it is as it was before.
pub(crate) fn write_text(path: &Path, text: &str, existing: Existing) -> io::Result<()> {
    let path = match existing {
        Existing::Kept => path.to_owned(),
        Existing::Replaced => led_to(path)?,
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}", std::process::id()));
    // one that is there is of a process that was killed, or no file at all
    let _ = std::fs::remove_file(&temporary);
    let write = || {
        let mut file = File::create_new(&temporary)?;
        if let Ok(before) = std::fs::metadata(&path) {
            keep_owner(&file, &before);
            file.set_permissions(before.permissions())?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match existing {
            Existing::Replaced => std::fs::rename(&temporary, &path),
            // unlike renaming, this fails where there is one; some file systems have no links
            Existing::Kept => match std::fs::hard_link(&temporary, &path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists && path.symlink_metadata().is_err() => {
                    std::fs::rename(&temporary, &path)
                }
                linked => linked,
            },
        }
    };
    let written = write();
    if written.is_err() || existing == Existing::Kept {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// The file that `path` leads to. It may not be there.
fn led_to(path: &Path) -> io::Result<PathBuf> {
    match std::fs::canonicalize(path) {
        // links that end in nothing do not go round in a circle
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut path = path.to_owned();
            while let Ok(next) = std::fs::read_link(&path) {
                path = path.parent().unwrap_or(Path::new("")).join(next);
            }
            Ok(path)
        }
        found => found,
    }
}

/// Gives a new file to whom the one before it belonged, as far as that is allowed.
fn keep_owner(file: &File, before: &Metadata) {
    let (owner, group) = (before.uid(), before.gid());
    // a group is one's own to choose from, an owner is not
    let _ = fchown(file, Some(owner), Some(group)).or_else(|_| fchown(file, None, Some(group)));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn a_file_is_written_whole_and_replaced_only_where_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        write_text(&path, "one", Existing::Kept).unwrap();
        let error = write_text(&path, "two", Existing::Kept).unwrap_err();
        assert_eq!((error.kind(), names()), (io::ErrorKind::AlreadyExists, 1));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        let link = folder.path().join("link");
        symlink("a.yaml", &link).unwrap();
        write_text(&link, "two", Existing::Replaced).unwrap();
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), names()), ("two", 2));
        assert!(link.is_symlink());
    }

    #[test]
    fn what_a_link_leads_to_is_written_also_where_there_is_nothing_yet() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("real")).unwrap();
        symlink("real/a.yaml", path("near")).unwrap();
        symlink(path("near"), path("far")).unwrap();
        let error = write_text(&path("far"), "kept", Existing::Kept).unwrap_err();
        assert_eq!((error.kind(), path("real/a.yaml").exists()), (io::ErrorKind::AlreadyExists, false));
        write_text(&path("far"), "one", Existing::Replaced).unwrap();
        assert!(path("far").is_symlink() && path("near").is_symlink());
        assert_eq!(std::fs::read_to_string(path("real/a.yaml")).unwrap(), "one");
        symlink("circle", path("circle")).unwrap();
        write_text(&path("circle"), "lost", Existing::Replaced).unwrap_err();
        assert!(path("circle").is_symlink());
    }

    #[test]
    fn a_file_that_is_replaced_keeps_permissions_owner_and_group() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, "one").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        // root alone may give it away; others see that it stays theirs
        let _ = chown(&path, Some(1), Some(1));
        let facts = || {
            let metadata = std::fs::metadata(&path).unwrap();
            (metadata.mode(), metadata.uid(), metadata.gid())
        };
        let before = facts();
        write_text(&path, "two", Existing::Replaced).unwrap();
        assert_eq!((std::fs::read_to_string(&path).unwrap().as_str(), facts()), ("two", before));
    }

    #[test]
    fn a_file_that_is_too_long_is_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(read_text(&path, 3).unwrap(), "abc");
        assert_eq!(read_text(&path, 2).unwrap_err().to_string(), "it has more than 2 bytes");
    }
}
