//! Reads the plugins that a command may use, and makes the registry of them.

pub(crate) mod types;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use flowctl_oci::ArtifactManifest;
use flowctl_registry::{Accepts, Declarations, Emits, Entry, LiveComponent, Origin, Registry};
use flowctl_schema::{Contract, MAX_COMPONENT_BYTES, Schema, WitFile};
use flowctl_types::{Code, Digest, Reference};

use crate::artifacts::Artifacts;
use crate::report::{Hinted, hinted};
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

/// The event types of [`WELL_KNOWN`], which the SDK has built in, parsed once.
pub(crate) fn well_known() -> &'static [Schema] {
    static PARSED: OnceLock<Vec<Schema>> = OnceLock::new();
    let schemas = |(_, text): &(&str, &str)| Schema::from_wit(text).expect("the first-party WIT is checked by tests");
    PARSED.get_or_init(|| WELL_KNOWN.iter().flat_map(schemas).collect())
}

/// The plugins that folders hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Local {
    /// Of files that were named: meant, whatever a folder holds under the same name.
    named: Vec<Entry>,
    /// Of folders.
    found: Vec<Entry>,
}

impl Local {
    /// Reads every `.wasm` file of `folders`, or the file itself, where one is named.
    ///
    /// A file in a folder that is no plugin is set aside with a warning; a file that was
    /// named must be one.
    ///
    /// # Errors
    ///
    /// When a folder or a named file cannot be read.
    pub(crate) fn read(folders: &[PathBuf]) -> Result<Self> {
        let mut local = Self::default();
        let mut seen = HashSet::new();
        for folder in folders.iter().filter(|folder| !folder.as_os_str().is_empty()) {
            let is_file = folder.extension().is_some_and(|extension| extension == "wasm");
            if is_file && !folder.is_dir() {
                if seen.insert(folder.clone()) {
                    local.named.push(plugin(folder)?);
                }
                continue;
            }
            for path in components_in(folder)? {
                if !seen.insert(path.clone()) {
                    continue;
                }
                match Contract::read(&read(&path)?, &stem(&path)) {
                    Ok(contract) => local.found.push(Entry::plugin(path, contract)),
                    Err(error) => status::warn(&format!("`{}` is left out: {error}", path.display())),
                }
            }
        }
        Ok(local)
    }

    /// The registry of these, `named`, which a pipeline names, the connectors, and the types
    /// of `declarations`; what is wrong with these is for the caller to report. Of `more`
    /// counts what has a name that nothing else has; `live` are other processes.
    pub(crate) fn registry(
        &self,
        named: Vec<Entry>,
        more: Vec<Entry>,
        live: &[LiveComponent],
        declarations: Declarations,
    ) -> Registry {
        let paths: HashSet<&Path> = named.iter().filter_map(Entry::path).collect();
        let is_new = |entry: &&Entry| entry.path().is_none_or(|path| !paths.contains(path));
        let mut meant: Vec<Entry> = self.named.iter().filter(is_new).cloned().collect();
        let found: Vec<Entry> = self.found.iter().filter(is_new).cloned().collect();
        meant.extend(named);
        let found = found.into_iter().filter(|entry| !meant.iter().any(|other| passes_for(entry, other)));
        let mut entries: Vec<Entry> = found.collect();
        entries.extend(meant);
        let is_here =
            |entry: &Entry| entries.iter().any(|other| (other.role, &other.name) == (entry.role, &entry.name));
        let more: Vec<Entry> = more.into_iter().filter(|entry| !is_here(entry)).collect();
        entries.extend(more);
        // the registry knows the structures of their types
        entries.extend(live.iter().map(|component| Entry::live(component, &|_| None)));
        entries.extend(flowctl_connectors::catalogue());
        let registry = Registry::build_with(entries, well_known().iter().cloned(), declarations);
        registry.checked_by(flowctl_connectors::check)
    }
}

/// Everything that is known here: the plugins of `folders`, those of the store whose names
/// no folder has, the connectors, the components `live`, and the types of `declarations`.
///
/// # Errors
///
/// As [`Local::read`], and when the store cannot be read.
pub(crate) fn load(
    folders: &[PathBuf],
    artifacts: &Artifacts,
    live: &[LiveComponent],
    declarations: Declarations,
) -> Result<Registry> {
    let local = Local::read(folders)?;
    let stored = stored(artifacts)?.into_iter().map(|(entry, _)| entry).collect();
    Ok(local.registry(Vec::new(), stored, live, declarations))
}

/// The plugins of the store, each with what it was pulled by, pinned to its digest. What
/// may not be used is left out.
///
/// # Errors
///
/// When the store cannot be read.
pub(crate) fn stored(artifacts: &Artifacts) -> Result<Vec<(Entry, Reference)>> {
    let Some(store) = artifacts.existing_store()? else { return Ok(Vec::new()) };
    let mut stored: Vec<(Entry, Reference)> = Vec::new();
    // the newest first: what its tag was moved from has the same name and version
    for held in store.list().map_err(|error| hinted(error.hint(), error))?.into_iter().rev() {
        if !artifacts.admits(&held.reference, &held)?
            || stored.iter().any(|(entry, _)| entry.path() == Some(&*held.path))
        {
            continue;
        }
        match artifact(&held.path, &held.reference, &held.manifest) {
            Ok(entry) if stored.iter().any(|(other, _)| passes_for(&entry, other)) => {}
            Ok(entry) => stored.push((entry, pinned(&held.reference, held.manifest.digest))),
            Err(error) => status::warn(&format!("`{}` of the store is left out: {error:#}", held.reference)),
        }
    }
    Ok(stored)
}

/// `reference` with the digest of its manifest.
pub(crate) fn pinned(reference: &Reference, manifest: Digest) -> Reference {
    match reference.clone() {
        Reference::Oci { repository, tag, .. } => Reference::Oci { repository, tag, digest: Some(manifest) },
        Reference::Layout { path, tag, .. } => Reference::Layout { path, tag, digest: Some(manifest) },
        other => other,
    }
}

/// The plugin of an artifact, whose component is at `path`, as an entry of a registry. Its
/// bytes must be those that the manifest names, and what the annotations say.
///
/// # Errors
///
/// When the file cannot be read, or is another plugin or none; with a hint.
pub(crate) fn artifact(path: &Path, reference: &Reference, manifest: &ArtifactManifest) -> Result<Entry> {
    let contract = manifest.open(&read(path)?, reference.short_name());
    let contract = contract.map_err(|error| hinted(error.hint(), error));
    let contract = contract.with_context(|| format!("`{reference}` cannot be used"))?;
    Ok(Entry::plugin(path.to_owned(), contract))
}

/// The WIT text of the first-party event types, which other packages may use.
pub(crate) fn library() -> Vec<WitFile> {
    let file = |(name, text): &(&str, &str)| WitFile { name: (*name).to_owned(), text: (*text).to_owned() };
    WELL_KNOWN.iter().map(file).collect()
}

/// What lists say of an entry.
pub(crate) struct Shown {
    /// Event types that it reads; `any` and `any record` where it takes any.
    pub(crate) input_types: Vec<String>,
    /// Event types that it emits; `as configured` where its configuration says.
    pub(crate) output_types: Vec<String>,
    /// `available` or `planned`, or how a live component is.
    pub(crate) status: String,
    /// `wasm DIGEST`, `built-in`, or `remote HOST:PORT`.
    pub(crate) origin: String,
}

impl Shown {
    /// What lists say of `entry`.
    pub(crate) fn of(entry: &Entry) -> Self {
        let names = |types: &[Schema]| types.iter().map(|schema| schema.event_type().to_string()).collect();
        Self {
            input_types: match &entry.accepts {
                Accepts::Nothing => Vec::new(),
                Accepts::Types(types) => names(types),
                Accepts::Any => vec!["any".to_owned()],
                Accepts::AnyRecord => vec!["any record".to_owned()],
            },
            output_types: match &entry.emits {
                Emits::Nothing => Vec::new(),
                Emits::Types(types) => names(types),
                Emits::Configured { .. } => vec!["as configured".to_owned()],
            },
            status: match &entry.origin {
                Origin::Live(live) => live.status.clone(),
                _ if entry.is_available() => "available".to_owned(),
                _ => "planned".to_owned(),
            },
            origin: match &entry.origin {
                Origin::Plugin { contract, .. } => format!("wasm {}", contract.digest.short()),
                Origin::BuiltIn { .. } => "built-in".to_owned(),
                Origin::Live(live) => format!("remote {}", live.endpoint),
            },
        }
    }
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
            Some(hint) => anyhow::Error::new(error).context(Hinted { message, hint, code: None }),
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

/// Checks that a folder of plugins, or a single one, can be read.
///
/// # Errors
///
/// When it cannot; with a hint.
pub(crate) fn check_readable(path: &Path) -> Result<()> {
    match path.is_file() {
        true => fs::File::open(path).map(drop).with_context(|| format!("cannot read plugin `{}`", path.display())),
        false => components_in(path).map(drop),
    }
}

/// The `.wasm` files of a folder, in the order of their names.
///
/// # Errors
///
/// When the folder cannot be read; with a hint.
pub(crate) fn components_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let what = || Hinted {
        message: format!("cannot read the plugin folder `{}`", folder.display()),
        hint: "name an existing folder with --plugins or FLOWCTL_PLUGINS".to_owned(),
        code: Some(Code::PluginNotFound),
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
