//! Where flowctl keeps its files, the XDG base directories, and reading small ones.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_too_long_is_not_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(read_text(&path, 3).unwrap(), "abc");
        assert_eq!(read_text(&path, 2).unwrap_err().to_string(), "it has more than 2 bytes");
    }
}
