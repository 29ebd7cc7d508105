//! Where a pipeline's plugins come from: files, folders, the lock, the store, registries.
//!
//! What is near and fixed comes first. A file is itself; an artifact is what the lock says,
//! else what the store knows its tag as, else what its registry has; a name is looked for in
//! the folders, the lock, the store, and the default registry. What an intent discovers is
//! found among what is here, and in the indexes only where that does not reach its end.
//! Invariant: with [`Reach::Look`] and [`Reach::Local`], and where everything is here, no registry is asked.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use flowctl_intent::{Component, DiscoverIntent, Document, Fault, Intent};
use flowctl_oci::{Layout, StoreError, TagLookup};
use flowctl_registry::{Declarations, Entry, LiveComponent, LookupError, Registry};
use flowctl_schema::Role;
use flowctl_topology::{Topology, is_wanting};
use flowctl_types::{Code, Digest, Reference};

use crate::artifacts::{Artifacts, Bars, Wanted, Way};
use crate::catalog::{self, Local};
use crate::pipeline::lockfile::{LockFile, Locked};
use crate::report::{self, Hinted, hinted};
use crate::{output, status};

/// How far plugins may be fetched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// What is on this machine, which is left as it is.
    Look,
    /// What is on this machine.
    Local,
    /// Registries too.
    Network,
}

/// What a lock file counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locking {
    /// What it says holds; what it does not say is found.
    Prefer,
    /// Nothing is used that it does not say.
    Strict,
    /// Nothing: everything is found anew, tags at their registries.
    Renew,
}

/// Where plugins come from, for one command.
pub(crate) struct Supply<'a> {
    /// Folders of plugins.
    pub(crate) folders: &'a [PathBuf],
    /// The store and the registries.
    pub(crate) artifacts: &'a Artifacts,
    /// How far.
    pub(crate) reach: Reach,
    /// What the lock counts for.
    pub(crate) locking: Locking,
    /// Whether nothing is shown.
    pub(crate) is_quiet: bool,
    /// What relative paths of the pipeline start from; none for where this process runs.
    pub(crate) base_dir: Option<&'a Path>,
    /// Components of other processes.
    pub(crate) live: &'a [LiveComponent],
}

/// A reference of a pipeline, and its place in the file.
struct Written {
    place: Vec<String>,
    role: Role,
    reference: Reference,
    /// Whether it stands there, and is not what a lock or an index has.
    is_named: bool,
}

/// What was found for a document.
pub(crate) struct Found {
    /// What can be a node.
    pub(crate) registry: Registry,
    /// A fault for each reference that stands for nothing.
    pub(crate) faults: Vec<Fault>,
    /// The artifacts, by the digests of their components.
    artifacts: HashMap<Digest, Reference>,
}

/// What was found so far.
struct Search<'a> {
    supply: &'a Supply<'a>,
    document: &'a Document,
    lock: &'a LockFile,
    declarations: Declarations,
    local: Local,
    named: Vec<Entry>,
    more: Vec<Entry>,
    pins: HashMap<Reference, Digest>,
    artifacts: HashMap<Digest, Reference>,
    faults: Vec<Fault>,
}

impl<'a> Supply<'a> {
    /// What is on this machine, and the components `live`.
    pub(crate) fn here(folders: &'a [PathBuf], artifacts: &'a Artifacts, live: &'a [LiveComponent]) -> Self {
        Self {
            folders,
            artifacts,
            reach: Reach::Local,
            locking: Locking::Prefer,
            is_quiet: false,
            base_dir: None,
            live,
        }
    }
}

impl Supply<'_> {
    /// Where a path of the pipeline leads.
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        match self.base_dir {
            Some(base) => base.join(path),
            None => path.to_owned(),
        }
    }

    /// The same reference, with a path that leads from anywhere.
    fn placed(&self, reference: &Reference) -> Reference {
        match reference.clone() {
            Reference::File(path) => Reference::File(self.path(&path)),
            Reference::Layout { path, tag, digest } => Reference::Layout { path: self.path(&path), tag, digest },
            other => other,
        }
    }

    /// Finds what `document` names or may use. `lock` is what its lock file says.
    ///
    /// # Errors
    ///
    /// When folders or the store cannot be read.
    pub(crate) fn find(&self, document: &Document, lock: &LockFile, declarations: Declarations) -> Result<Found> {
        let mut search = Search {
            supply: self,
            document,
            lock,
            declarations,
            local: Local::read(self.folders)?,
            named: Vec::new(),
            more: Vec::new(),
            pins: HashMap::new(),
            artifacts: HashMap::new(),
            faults: Vec::new(),
        };
        search.written()?;
        let registry = search.complete()?;
        Ok(Found { registry, faults: search.faults, artifacts: search.artifacts })
    }
}

impl Found {
    /// What the lock file of `document`, planned as `topology`, has to say.
    pub(crate) fn lock(&self, document: &Document, topology: &Topology) -> LockFile {
        let written = written(document);
        let of_written = written.iter().filter_map(|written| {
            let entry = self.registry.find_reference(written.role, &written.reference).ok()?;
            self.locked(written.reference.clone(), entry)
        });
        let mut plugins: Vec<Locked> = of_written.collect();
        for node in &topology.nodes {
            let flowctl_topology::Component::Plugin { digest, name, .. } = &node.component else { continue };
            if plugins.iter().any(|plugin| plugin.component == *digest) {
                continue;
            }
            let entry = self.registry.all_entries().find(|entry| entry.digest() == Some(*digest));
            let reference = Reference::Name { name: name.clone(), version: None };
            plugins.extend(entry.and_then(|entry| self.locked(reference, entry)));
        }
        LockFile::of(plugins)
    }

    fn locked(&self, reference: Reference, entry: &Entry) -> Option<Locked> {
        let artifact = entry.digest().and_then(|digest| self.artifacts.get(&digest)).cloned();
        Locked::new(reference, entry, artifact)
    }
}

impl Search<'_> {
    /// Takes what the document names: files, artifacts, and what the lock has for names.
    fn written(&mut self) -> Result<()> {
        let mut wanted = Vec::new();
        for written in written(self.document) {
            match &written.reference {
                Reference::File(file) => self.file(&written, file),
                Reference::Name { .. } => {}
                Reference::Oci { .. } | Reference::Layout { .. } => wanted.push(written),
            }
        }
        let is_prefer = self.supply.locking != Locking::Renew;
        let of_lock = self.lock.plugins().iter().filter(|plugin| {
            is_prefer && plugin.artifact.is_some() && matches!(plugin.reference, Reference::Name { .. })
        });
        let of_lock: Vec<&Locked> = of_lock.collect();
        if wanted.is_empty() && of_lock.is_empty() {
            return Ok(());
        }
        let folders = self.local.registry(Vec::new(), Vec::new(), &[], Declarations::default());
        // a plugin of a folder that was given stands in for an artifact that is not fixed
        let is_open = |written: &Written| {
            self.locked(&written.reference).is_some()
                || folders.find_reference(written.role, &written.reference).is_err()
        };
        wanted.retain(is_open);
        let missing = of_lock.into_iter().filter(|plugin| {
            let roles = [Role::Processor, Role::Source, Role::Sink];
            !roles.iter().any(|role| folders.find_reference(*role, &plugin.reference).is_ok())
        });
        let of_names = missing.map(|plugin| {
            let reference = plugin.reference.clone();
            let place = place_of(self.document, &reference);
            Written { place, role: Role::Processor, reference, is_named: false }
        });
        wanted.extend(of_names.collect::<Vec<_>>());
        self.fetch(wanted)
    }

    fn file(&mut self, written: &Written, file: &Path) {
        let path = self.supply.path(file);
        if self.named.iter().any(|entry| entry.path() == Some(&path)) {
            return;
        }
        match catalog::plugin(&path) {
            Ok(entry) => {
                if let Some(digest) = entry.digest().filter(|_| path != file) {
                    self.pins.insert(written.reference.clone(), digest);
                }
                self.named.push(entry);
            }
            Err(error) => self.fault(written, &error),
        }
    }

    /// What a reference to an artifact, or a name, was locked as.
    fn locked(&self, reference: &Reference) -> Option<&Locked> {
        let locked = self.lock.get(reference).filter(|_| self.supply.locking != Locking::Renew)?;
        locked.artifact.is_some().then_some(locked)
    }

    /// Gets artifacts from the store or, as far as that is allowed, their registries.
    fn fetch(&mut self, wanted: Vec<Written>) -> Result<()> {
        let mut pulls: Vec<(Written, Wanted)> = Vec::new();
        for written in wanted {
            let fixed = self.locked(&written.reference).and_then(|locked| locked.artifact.clone());
            if let Some(fixed) = &fixed
                && !self.stands_for(&written.reference, fixed)
            {
                self.fault(&written, &elsewhere(&written.reference, fixed));
                continue;
            }
            let reference = fixed.unwrap_or_else(|| self.supply.placed(&written.reference));
            if let Some((entry, artifact)) = self.held(&reference)? {
                self.take(&written.reference, entry, artifact);
            } else if self.supply.reach == Reach::Network {
                let tags = match self.supply.locking {
                    Locking::Renew => TagLookup::Registry,
                    Locking::Prefer | Locking::Strict => TagLookup::Store,
                };
                let is_named = written.is_named;
                pulls.push((written, Wanted { reference, tags, is_named }));
            }
        }
        if pulls.is_empty() {
            return Ok(());
        }
        let wanted: Vec<Wanted> = pulls.iter().map(|(_, wanted)| wanted.clone()).collect();
        let bars = Bars::new(self.supply.is_quiet);
        let pulled = self.supply.artifacts.pull(&wanted, &bars)?;
        drop(bars);
        for ((written, wanted), pulled) in pulls.into_iter().zip(pulled) {
            let taken = pulled.and_then(|pulled| {
                if !pulled.was_cached && !self.supply.is_quiet {
                    status::say(&format!("  ✓ Pulled {}", catalog::pinned(&wanted.reference, pulled.digest)));
                }
                let artifact = catalog::pinned(&self.supply.artifacts.absolute(&wanted.reference)?, pulled.digest);
                let entry = catalog::artifact(&pulled.path, &wanted.reference, &pulled.manifest)?;
                Ok((entry, artifact))
            });
            match taken {
                Ok((entry, artifact)) => self.take(&written.reference, entry, artifact),
                Err(error) => self.fault(&written, &error),
            }
        }
        Ok(())
    }

    /// Whether an artifact of the lock may be what a reference is locked as: a digest of the
    /// same repository or layout. A lock does not move a reference to where other rules of a
    /// policy hold. A name may be of any.
    fn stands_for(&self, reference: &Reference, artifact: &Reference) -> bool {
        match (self.supply.artifacts.absolute(&self.supply.placed(reference)), artifact) {
            (_, Reference::Oci { digest: Some(_), .. }) if matches!(reference, Reference::Name { .. }) => true,
            (Ok(Reference::Oci { repository, .. }), Reference::Oci { repository: locked, digest: Some(_), .. }) => {
                repository == *locked
            }
            (Ok(Reference::Layout { path, .. }), Reference::Layout { path: locked, digest: Some(_), .. }) => {
                path == *locked
            }
            (_, Reference::Layout { digest: Some(_), .. }) => matches!(reference, Reference::Name { .. }),
            _ => false,
        }
    }

    /// What the store has for a reference without asking anybody.
    fn held(&self, reference: &Reference) -> Result<Option<(Entry, Reference)>> {
        if self.supply.locking == Locking::Renew {
            return Ok(None);
        }
        let Some(store) = self.supply.artifacts.existing_store()? else { return Ok(None) };
        let Ok(absolute) = self.supply.artifacts.absolute(reference) else { return Ok(None) };
        // what a tag of a layout stands for is looked up there
        let found = match &absolute {
            Reference::Layout { path, tag, digest: None } => {
                match Layout::open(path).and_then(|layout| layout.find(tag.as_deref(), None)) {
                    Ok(found) => catalog::pinned(&absolute, found.digest),
                    Err(_) => return Ok(None),
                }
            }
            other => other.clone(),
        };
        let store_error = |error: StoreError| hinted(error.hint(), error);
        let Some(held) = store.by_reference(&found).map_err(store_error)? else { return Ok(None) };
        if !self.supply.artifacts.admits(&absolute, &held)? {
            return Ok(None);
        }
        match catalog::artifact(&held.path, reference, &held.manifest) {
            Ok(entry) => Ok(Some((entry, catalog::pinned(&absolute, held.manifest.digest)))),
            Err(_) if self.supply.reach == Reach::Look => Ok(None),
            // what was damaged since it came is fetched anew
            Err(_) if store.drop_damaged(&held).map_err(store_error)? => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn take(&mut self, reference: &Reference, entry: Entry, artifact: Reference) {
        if let Some(digest) = entry.digest() {
            self.pins.insert(reference.clone(), digest);
            self.artifacts.insert(digest, artifact);
        }
        if !self.named.iter().any(|other| other.path() == entry.path()) {
            self.named.push(entry);
        }
    }

    fn fault(&mut self, written: &Written, error: &anyhow::Error) {
        let place: Vec<&str> = written.place.iter().map(String::as_str).collect();
        let hint = error.downcast_ref::<Hinted>().map(|hinted| hinted.hint.clone());
        let code = report::code(error).unwrap_or(Code::PluginNotFound);
        let mut message = error.to_string();
        for cause in error.chain().skip(1).map(ToString::to_string) {
            if !message.ends_with(&cause) {
                message.push_str(&format!(": {cause}"));
            }
        }
        self.faults.push(self.document.fault_at(&place, code, message, hint));
    }

    /// Looks further as long as something is missing.
    fn complete(&mut self) -> Result<Registry> {
        let registry = self.registry();
        if self.supply.locking == Locking::Strict || !self.is_lacking(&registry) {
            return Ok(registry);
        }
        for (entry, artifact) in catalog::stored(self.supply.artifacts)? {
            if let Some(digest) = entry.digest() {
                self.artifacts.entry(digest).or_insert(artifact);
            }
            self.more.push(entry);
        }
        let registry = self.registry();
        if self.supply.reach != Reach::Network || !self.is_lacking(&registry) {
            return Ok(registry);
        }
        match &self.document.intent {
            Intent::Explicit(_) => self.names(&registry)?,
            Intent::Discover(intent) => self.discover(intent, &registry)?,
        }
        Ok(self.registry())
    }

    fn registry(&self) -> Registry {
        let (named, more) = (self.named.clone(), self.more.clone());
        let registry = self.local.registry(named, more, self.supply.live, self.declarations.clone());
        registry.pinned(self.pins.clone())
    }

    /// Whether names stand for nothing, or a chain has no end.
    fn is_lacking(&self, registry: &Registry) -> bool {
        let is_unknown = |error: &LookupError| {
            matches!(error, LookupError::Unknown { .. } | LookupError::Version { .. } | LookupError::Role { .. })
        };
        match &self.document.intent {
            Intent::Discover(intent) => is_wanting(intent, registry),
            Intent::Explicit(_) => {
                written(self.document).iter().filter(|written| matches!(written.reference, Reference::Name { .. })).any(
                    |written| registry.find_reference(written.role, &written.reference).is_err_and(|e| is_unknown(&e)),
                )
            }
        }
    }

    /// Pulls names that nothing here has from the default registry.
    fn names(&mut self, registry: &Registry) -> Result<()> {
        if self.supply.artifacts.settings.registry.is_none() {
            return Ok(());
        }
        let mut names = written(self.document);
        names.retain(|written| {
            matches!(written.reference, Reference::Name { .. })
                && registry.find_reference(written.role, &written.reference).is_err()
        });
        self.fetch(names)
    }

    /// Pulls what the indexes list between the ends of an intent.
    fn discover(&mut self, intent: &DiscoverIntent, registry: &Registry) -> Result<()> {
        if !self.supply.artifacts.has_indexes() {
            return Ok(());
        }
        let from = intent.from.iter().map(|end| end.event_type.clone()).collect();
        let way = Way { from, to: &intent.to, via: &intent.via };
        let listed = self.supply.artifacts.on_the_way(registry, &way)?;
        let wanted = listed.into_iter().map(|reference| Written {
            place: vec!["to".to_owned()],
            role: Role::Processor,
            reference,
            is_named: false,
        });
        self.fetch(wanted.collect())
    }
}

/// What a document names, each once.
fn written(document: &Document) -> Vec<Written> {
    let mut all: Vec<Written> = Vec::new();
    let mut add = |place: &[&str], role: Role, reference: Reference| {
        if !all.iter().any(|written| written.reference == reference) {
            let place = place.iter().map(|&key| key.to_owned()).collect();
            all.push(Written { place, role, reference, is_named: true });
        }
    };
    let of = |component: &Component| match component {
        Component::Plugin(reference) => Some(reference.clone()),
        Component::Type(name) => name.parse().ok().filter(|reference| matches!(reference, Reference::Name { .. })),
        Component::Command { .. } => None,
    };
    let key = |component: &Component| if matches!(component, Component::Type(_)) { "type" } else { "plugin" };
    match &document.intent {
        Intent::Explicit(intent) => {
            for spec in &intent.processors {
                let reference = of(&spec.component).into_iter();
                reference.for_each(|found| {
                    add(&["processors", spec.id.as_str(), key(&spec.component)], Role::Processor, found);
                });
            }
            for spec in &intent.sources {
                let reference = of(&spec.component).into_iter();
                reference
                    .for_each(|found| add(&["sources", spec.id.as_str(), key(&spec.component)], Role::Source, found));
            }
            for spec in &intent.sinks {
                let reference = of(&spec.component).into_iter();
                reference.for_each(|found| add(&["sinks", spec.id.as_str(), key(&spec.component)], Role::Sink, found));
            }
        }
        Intent::Discover(intent) => {
            for (index, name) in intent.via.iter().enumerate() {
                if let Ok(reference) = name.parse() {
                    add(&["via", &index.to_string()], Role::Processor, reference);
                }
            }
        }
    }
    if let Some(spec) = document.intent.dead_letter() {
        let reference = of(&spec.component).into_iter();
        reference.for_each(|found| add(&["dead_letter", key(&spec.component)], Role::Sink, found));
    }
    all
}

/// Where a document has a reference; the place of its ends where it has none.
fn place_of(document: &Document, reference: &Reference) -> Vec<String> {
    let written = written(document).into_iter().find(|written| written.reference == *reference);
    written.map_or_else(|| vec!["to".to_owned()], |written| written.place)
}

/// The error of a lock that has a reference as something of another place.
fn elsewhere(reference: &Reference, artifact: &Reference) -> anyhow::Error {
    Hinted::coded(
        Code::LockMismatch,
        format!("the lock file has `{reference}` as `{artifact}`, which is of another place"),
        "see who changed the lock file; `flowctl lock --update` finds everything anew",
    )
}

/// The error of a strict lock that is not there.
pub(crate) fn unlocked(file: &Path) -> anyhow::Error {
    match crate::pipeline::lockfile::path(file) {
        Some(path) => Hinted::coded(
            Code::LockMismatch,
            format!("there is no lock file `{}`", path.display()),
            format!("`flowctl lock {}` writes it", output::shell_word(file)),
        ),
        None => Hinted::usage(
            "a pipeline from standard input has no lock file",
            "put it into a file, and lock that with `flowctl lock FILE`",
        ),
    }
}
