//! Reads the WIT text of event types that a pipeline brings along.
//!
//! An entry is a file, or a folder with the files of one package and, in its `deps/`,
//! the packages that this one uses: files, or folders of files. Invariant: what is read
//! is bounded, and messages have paths as they were written.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use flowctl_registry::{DeclarationError, Declarations};
use flowctl_schema::{WitFile, WitPackage};

use super::library;

/// Largest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Most files of one entry.
const MAX_FILES: usize = 256;
/// Most bytes of one entry.
const MAX_BYTES: usize = 4 << 20;

/// The event types that entries declare; each is its path as it was written, and its
/// path.
pub(crate) fn declarations<'a>(entries: impl IntoIterator<Item = (String, &'a Path)>) -> Declarations {
    let read = |(written, path): (String, &Path)| {
        let package = Entry { written: &written, n_files: 0, n_bytes: 0 }.package(path);
        (written, package)
    };
    Declarations::read(entries.into_iter().map(read), &library())
}

/// An entry while it is read.
struct Entry<'a> {
    written: &'a str,
    n_files: usize,
    n_bytes: usize,
}

impl Entry<'_> {
    fn package(mut self, path: &Path) -> Result<WitPackage, DeclarationError> {
        let written = self.written.trim_end_matches('/').to_owned();
        let kind = fs::metadata(path).map_err(|error| unreadable(self.written, &error))?;
        if !kind.is_dir() {
            return Ok(WitPackage { files: vec![self.file(path, self.written.to_owned())?], deps: Vec::new() });
        }
        let files = self.folder(path, &written)?;
        if files.is_empty() {
            return Err(refused(
                self.written,
                "it is a folder without `.wit` files",
                "name the folder of one WIT package, or a file",
            ));
        }
        let mut deps = Vec::new();
        let deps_path = path.join("deps");
        if deps_path.is_dir() {
            for path in list(&deps_path, &format!("{written}/deps"))? {
                let written = format!("{written}/deps/{}", name(&path));
                let package = match is_wit(&path) {
                    true => vec![self.file(&path, written)?],
                    false if path.is_dir() => self.folder(&path, &written)?,
                    false => Vec::new(),
                };
                deps.extend((!package.is_empty()).then_some(package));
            }
        }
        Ok(WitPackage { files, deps })
    }

    /// The `.wit` files in a folder, by name.
    fn folder(&mut self, path: &Path, written: &str) -> Result<Vec<WitFile>, DeclarationError> {
        let files = list(path, written)?.into_iter().filter(|path| is_wit(path));
        files.map(|path| self.file(&path, format!("{written}/{}", name(&path)))).collect()
    }

    fn file(&mut self, path: &Path, written: String) -> Result<WitFile, DeclarationError> {
        let as_text = "flowctl reads WIT as text; `wasm-tools component wit` prints that of a component";
        if !fs::metadata(path).map_err(|error| unreadable(&written, &error))?.is_file() {
            return Err(refused(&written, "it is neither a file nor a folder", as_text));
        }
        let mut bytes = Vec::new();
        let read = fs::File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|error| unreadable(&written, &error))?;
        (self.n_files, self.n_bytes) = (self.n_files + 1, self.n_bytes + bytes.len());
        if bytes.len() as u64 > MAX_FILE_BYTES {
            let reason = format!("it has more than {MAX_FILE_BYTES} bytes");
            return Err(refused(&written, &reason, "split it into packages"));
        }
        if self.n_files > MAX_FILES || self.n_bytes > MAX_BYTES {
            let reason = format!("`{}` has more than {MAX_FILES} files or {MAX_BYTES} bytes", self.written);
            return Err(refused(&written, &reason, "name the packages that are needed, one by one"));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(WitFile { name: written, text }),
            Err(_) => Err(refused(&written, "it is not UTF-8 text", as_text)),
        }
    }
}

fn list(path: &Path, written: &str) -> Result<Vec<PathBuf>, DeclarationError> {
    let entries = fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = entries.map_err(|error| unreadable(written, &error))?;
    paths.sort();
    Ok(paths)
}

fn unreadable(written: &str, error: &io::Error) -> DeclarationError {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "check the path; it is relative to where `flowctl` runs",
        _ => "name a file of WIT text, or a folder that holds a package",
    };
    refused(written, &error.to_string(), hint)
}

fn refused(written: &str, reason: &str, hint: &str) -> DeclarationError {
    DeclarationError::Unreadable { file: written.to_owned(), reason: reason.to_owned(), hint: hint.to_owned() }
}

fn is_wit(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wit") && !path.is_dir()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    const ORDER: &str = "package shop:order@1.0.0; interface event { record order { id: string } }";

    fn disk(files: &[(&str, &str)]) -> TempDir {
        let folder = TempDir::new().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    /// What is wrong with the entry `name` of a folder.
    fn faults(folder: &TempDir, name: &str) -> Vec<String> {
        let path = folder.path().join(name);
        let declared = declarations([(name.to_owned(), path.as_path())]);
        declared.faults().iter().map(|fault| fault.error.to_string()).collect()
    }

    #[test]
    fn files_and_folders_with_dependencies_are_read() {
        let uses = "package shop:refund@1.0.0; interface event { use shop:order/event@1.0.0.{order}; use local.{why}; record refund { of: order, why: why } }";
        let folder = disk(&[
            ("order.wit", ORDER),
            ("flat/refund.wit", uses),
            ("flat/local.wit", "interface local { enum why { broken } }"),
            ("flat/deps/order.wit", ORDER),
            ("flat/deps/README.md", "no WIT"),
            ("nested/refund.wit", uses),
            ("nested/local.wit", "interface local { enum why { broken } }"),
            ("nested/deps/order/order.wit", ORDER),
        ]);
        for entry in ["order.wit", "flat", "nested/"] {
            assert_eq!(faults(&folder, entry), Vec::<String>::new(), "{entry}");
        }
    }

    #[test]
    fn errors_have_the_path_as_it_was_written() {
        let folder = disk(&[
            ("wit/refund.wit", "package shop:refund@1.0.0;\ninterface event {"),
            ("with-deps/refund.wit", ORDER),
            ("with-deps/deps/x/a.wit", "package"),
            ("empty/README.md", "no WIT"),
            ("binary.wit", "\0"),
        ]);
        fs::write(folder.path().join("latin.wit"), b"\xe4").unwrap();
        fs::write(folder.path().join("long.wit"), " ".repeat((MAX_FILE_BYTES + 1) as usize)).unwrap();
        for (entry, wanted) in [
            ("missing.wit", "cannot read `missing.wit`: No such file or directory (os error 2)"),
            ("wit", "wit/refund.wit:2:18: "),
            ("with-deps/", "with-deps/deps/x/a.wit:1:8: "),
            ("empty", "cannot read `empty`: it is a folder without `.wit` files"),
            ("latin.wit", "cannot read `latin.wit`: it is not UTF-8 text"),
            ("long.wit", "cannot read `long.wit`: it has more than 1048576 bytes"),
            ("binary.wit", "binary.wit:1:1: "),
        ] {
            let found = faults(&folder, entry);
            assert!(found.len() == 1 && found[0].starts_with(wanted), "{entry}: {found:?}");
        }
    }

    #[test]
    fn a_folder_of_very_many_files_is_refused() {
        let names: Vec<String> = (0..=MAX_FILES).map(|number| format!("wit/{number}.wit")).collect();
        let folder = disk(&names.iter().map(|name| (name.as_str(), "interface x {}")).collect::<Vec<_>>());
        let found = faults(&folder, "wit");
        assert!(found[0].ends_with("`wit` has more than 256 files or 4194304 bytes"), "{found:?}");
    }
}
