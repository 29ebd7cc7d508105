//! Reads the plugins that a command may use, and makes the registry of them.

pub(crate) mod types;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flowctl_registry::{Declarations, Entry, Registry};
use flowctl_schema::{Contract, MAX_COMPONENT_BYTES, Schema, WitFile};

use crate::report::Hinted;
use crate::status;

/// Event types that are known though nothing may emit or read them: sources such as
/// `file` can be configured to.
const WELL_KNOWN: [(&str, &str); 5] = [
    ("flowctl/example-order.wit", include_str!("../../../wit/events/example-order/event.wit")),
    ("flowctl/flowctl-dead-letter.wit", include_str!("../../../wit/events/flowctl-dead-letter/event.wit")),
    ("flowctl/stellar-ledger.wit", include_str!("../../../wit/events/stellar-ledger/event.wit")),
    ("flowctl/stellar-token-transfer.wit", include_str!("../../../wit/events/stellar-token-transfer/event.wit")),
    ("flowctl/stellar-volume.wit", include_str!("../../../wit/events/stellar-volume/event.wit")),
];

/// Reads every `.wasm` file of `folders` (or the file itself, where one is named), and
/// adds `named`, which a pipeline names, the connectors, and the types of `declarations`;
/// what is wrong with these is for the caller to report.
///
/// A file in a folder that is no plugin is set aside with a warning; a file that was
/// named must be one.
///
/// # Errors
///
/// When a folder or a named file cannot be read.
pub(crate) fn load(folders: &[PathBuf], named: Vec<Entry>, declarations: Declarations) -> Result<Registry> {
    let mut named = named;
    let mut found = Vec::new();
    let mut seen: HashSet<PathBuf> = named.iter().filter_map(|entry| entry.path().map(Path::to_owned)).collect();
    for folder in folders.iter().filter(|folder| !folder.as_os_str().is_empty()) {
        let is_file = folder.extension().is_some_and(|extension| extension == "wasm");
        if is_file && !folder.is_dir() {
            if seen.insert(folder.clone()) {
                named.push(plugin(folder)?);
            }
            continue;
        }
        for path in components_in(folder)? {
            if !seen.insert(path.clone()) {
                continue;
            }
            match Contract::read(&read(&path)?, &stem(&path)) {
                Ok(contract) => found.push(Entry::plugin(path, contract)),
                Err(error) => status::warn(&format!("`{}` is left out: {error}", path.display())),
            }
        }
    }
    // a file that was named is meant, whatever a folder holds under the same name
    let is_named = |entry: &Entry| named.iter().any(|other| passes_for(entry, other));
    found.retain(|entry| !is_named(entry));
    let mut entries = flowctl_connectors::catalogue();
    entries.extend(named);
    entries.extend(found);
    let schema = |(_, text): &(&str, &str)| Schema::from_wit(text).expect("the first-party WIT is checked by tests");
    let registry = Registry::build_with(entries, WELL_KNOWN.iter().flat_map(schema), declarations);
    Ok(registry.checked_by(flowctl_connectors::check))
}

/// The WIT text of the first-party event types, which other packages may use.
pub(crate) fn library() -> Vec<WitFile> {
    let file = |(name, text): &(&str, &str)| WitFile { name: (*name).to_owned(), text: (*text).to_owned() };
    WELL_KNOWN.iter().map(file).collect()
}

/// Whether two plugins say that they are the same one.
fn passes_for(a: &Entry, b: &Entry) -> bool {
    (a.role, &a.name, a.version()) == (b.role, &b.name, b.version())
}

/// The plugin in the file at `path`, as an entry of a registry.
///
/// # Errors
///
/// As [`contract`].
pub(crate) fn plugin(path: &Path) -> Result<Entry> {
    Ok(Entry::plugin(path.to_owned(), contract(path)?))
}

/// Reads what the component at `path` says of itself.
///
/// # Errors
///
/// When the file cannot be read or is no component of the contract; with a hint.
pub(crate) fn contract(path: &Path) -> Result<Contract> {
    Contract::read(&read(path)?, &stem(path)).map_err(|error| {
        let message = format!("`{}` is no plugin", path.display());
        match error.hint() {
            Some(hint) => anyhow::Error::new(error).context(Hinted { message, hint }),
            None => anyhow::Error::new(error).context(message),
        }
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let what = || format!("cannot read plugin `{}`", path.display());
    let size = fs::metadata(path).with_context(what)?.len();
    if size > MAX_COMPONENT_BYTES as u64 {
        return Err(Hinted::error(
            format!("`{}` has {size} bytes, a plugin has at most {MAX_COMPONENT_BYTES}", path.display()),
            "strip its debug information: `strip = \"debuginfo\"` in the profile it is built with",
        ));
    }
    fs::read(path).with_context(what)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn components_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let what = || Hinted {
        message: format!("cannot read the plugin folder `{}`", folder.display()),
        hint: "name an existing folder with --plugins or FLOWCTL_PLUGINS".to_owned(),
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(what)? {
        let path = entry.with_context(what)?.path();
        if path.extension().is_some_and(|extension| extension == "wasm") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
