//! Where relative paths of a configuration start.
//!
//! Invariant: below a base directory every path is absolute and without `..`, which is
//! taken away by the text alone. So what is opened is what [`reach`](crate::reach()) said,
//! whatever links there are on the way to a `..`.

use std::path::{Component, Path, PathBuf};

/// What makes a path a glob.
pub(crate) const GLOB_CHARS: [char; 3] = ['*', '?', '['];

/// The directory that relative paths start from; none for that of the process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BaseDir<'a>(pub(crate) Option<&'a Path>);

impl BaseDir<'_> {
    /// The directory itself, absolute.
    pub(crate) fn start(self) -> Option<PathBuf> {
        self.0.map(|base| plain(&absolute(base)))
    }

    /// The path to open for one that is written.
    pub(crate) fn path(self, written: impl AsRef<Path>) -> PathBuf {
        let written = written.as_ref();
        self.0.map_or_else(|| written.to_owned(), |base| plain(&absolute(base).join(written)))
    }

    /// The same, absolute whether there is a base directory or not.
    pub(crate) fn reached(self, written: impl AsRef<Path>) -> PathBuf {
        plain(&absolute(&self.path(written)))
    }

    /// The folder, or file, that holds whatever a glob can match.
    pub(crate) fn reached_by_glob(self, pattern: &str) -> PathBuf {
        let base = self.0.map(absolute).unwrap_or_else(|| absolute(Path::new(".")));
        let whole = base.join(pattern);
        let mut fixed = PathBuf::new();
        // names behind the fixed part; where a `..` takes more away, the fixed part shrinks
        let mut depth: Option<usize> = None;
        for part in whole.components() {
            match (part, depth.as_mut()) {
                (Component::CurDir, _) => {}
                (Component::ParentDir, Some(0) | None) => {
                    fixed.pop();
                }
                (Component::ParentDir, Some(depth)) => *depth -= 1,
                // stands for any number of folders, none included
                (Component::Normal(name), _) if name == "**" => depth = Some(depth.unwrap_or(0)),
                (_, Some(depth)) => *depth += 1,
                (Component::Normal(name), None) if name.to_string_lossy().contains(GLOB_CHARS) => depth = Some(1),
                (part, None) => fixed.push(part),
            }
        }
        fixed
    }
}

/// The path without `.` and `..`, by its text. One above the root is the root.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() || plain.has_root() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// The path from the root on; as it is where the process has no directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globbed(pattern: &str) -> String {
        BaseDir(Some(Path::new("/srv/tenant"))).reached_by_glob(pattern).display().to_string()
    }

    #[test]
    fn a_path_below_a_base_has_no_way_up_left() {
        let base = BaseDir(Some(Path::new("/srv/tenant")));
        let path = |written: &str| base.path(written).display().to_string();
        assert_eq!(path("a/b.jsonl"), "/srv/tenant/a/b.jsonl");
        assert_eq!(path("./a/../../b"), "/srv/b");
        assert_eq!(path("../../../../b"), "/b");
        assert_eq!(path("/etc/../x"), "/x");
    }

    #[test]
    fn without_a_base_a_path_is_as_written() {
        assert_eq!(BaseDir(None).path("a/../b"), Path::new("a/../b"));
        assert_eq!(BaseDir(None).reached("a/../b"), std::env::current_dir().unwrap().join("b"));
    }

    #[test]
    fn a_glob_reaches_the_folder_before_its_first_wildcard() {
        assert_eq!(globbed("a/b.jsonl"), "/srv/tenant/a/b.jsonl");
        assert_eq!(globbed("a/*.jsonl"), "/srv/tenant/a");
        assert_eq!(globbed("*/b"), "/srv/tenant");
        assert_eq!(globbed("/data/**/x?/y"), "/data");
        assert_eq!(globbed("a/../[bc]/d"), "/srv/tenant");
    }

    #[test]
    fn a_way_up_behind_a_wildcard_counts() {
        assert_eq!(globbed("a/*/../b"), "/srv/tenant/a");
        assert_eq!(globbed("a/*/../../b"), "/srv/tenant");
        assert_eq!(globbed("*/../../../etc/*"), "/");
        // `**` may stand for no folder at all
        assert_eq!(globbed("a/**/../b"), "/srv/tenant");
    }
}
