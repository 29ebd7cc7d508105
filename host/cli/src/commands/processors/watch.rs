//! Tells when the source of a crate changes, by looking at it every so often.
//!
//! Looking works wherever there are files: in containers, over networks, after an editor put
//! another file in the place of one. Invariant: what a build or a running pipeline writes is
//! not looked at, and the number of files is bounded.

use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two looks.
pub(super) const PERIOD: Duration = Duration::from_millis(250);
/// Most files that are looked at.
const MAX_FILES: usize = 10_000;
/// Folders within folders are looked at this deep.
const MAX_DEPTH: usize = 16;

/// What the source in `folders` looks like: equal as long as nothing changes. A folder that
/// cannot be read counts as empty.
pub(super) fn fingerprint(folders: &[PathBuf]) -> u64 {
    let mut files = Vec::new();
    for folder in folders {
        collect(folder, Place::Outside, 0, &mut files);
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for path in files {
        let metadata = fs::metadata(&path);
        (path, metadata.map(|metadata| (metadata.len(), metadata.modified().ok())).ok()).hash(&mut hasher);
    }
    hasher.finish()
}

/// Where a folder is in a crate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In `src` or `wit`, where every file counts.
    Source,
    /// Elsewhere, where those count that cargo and the SDK look for.
    Outside,
}

fn collect(folder: &Path, place: Place, depth: usize, files: &mut Vec<PathBuf>) {
    if depth > MAX_DEPTH {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if is_hidden || files.len() >= MAX_FILES {
            continue;
        }
        if path.is_dir() {
            let is_source = place == Place::Source || name == "src" || name == "wit";
            let place = if is_source { Place::Source } else { Place::Outside };
            if is_source || !(name == "target" || name == "cases") {
                collect(&path, place, depth + 1, files);
            }
        } else {
            let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
            if place == Place::Source || ["rs", "toml", "lock", "wit"].contains(&extension) {
                files.push(path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_counts_and_what_is_built_or_written_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let look = || fingerprint(&[folder.path().to_owned()]);
        write("src/lib.rs", "a");
        let mut before = look();
        for (name, counts) in [
            ("src/table.csv", true),
            ("wit/alert/event.wit", true),
            ("Cargo.toml", true),
            ("build.rs", true),
            ("target/wasm32-wasip2/release/build/x.rs", false),
            ("cases/first/input.jsonl", false),
            ("pipeline.yaml", false),
            ("rows.db", false),
            ("src/.lib.rs.swp", false),
        ] {
            write(name, "new");
            assert_eq!(look() != before, counts, "{name}");
            before = look();
        }
        write("src/lib.rs", "longer");
        assert_ne!(look(), before);
        before = look();
        fs::remove_file(folder.path().join("src/table.csv")).unwrap();
        assert_ne!(look(), before);
    }
}
