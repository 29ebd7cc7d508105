//! Plugins as artifacts, for commands: the store, the registries, who may be trusted.
//!
//! Invariant: nothing is read, asked or made before a command needs it, so that a run
//! whose plugins are all here costs nothing more.

pub(crate) mod args;
mod bars;
mod market;
pub(crate) mod settings;
pub(crate) mod trust;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, anyhow};
use flowctl_oci::auth::{Credentials, Login, Secret};
use flowctl_oci::{
    Client, ClientOptions, Layout, OciError, PullOptions, Pulled, RegistryRef, Store, TagLookup, pull, pull_from_layout,
};
use flowctl_types::Reference;
use futures_util::StreamExt as _;
use tokio::runtime::Runtime;

use self::args::{IndexArgs, RegistryArgs};
pub(crate) use self::bars::Bars;
pub(crate) use self::market::Way;
use self::settings::Settings;
use self::trust::Trust;
pub(crate) use self::trust::password_of_key;
use crate::report::{self, Hinted, hinted};
use crate::{catalog, paths};

/// Pulls that run at once.
const MAX_PULLS: usize = 8;

/// Where plugins come from that are no files.
pub(crate) struct Artifacts {
    pub(crate) settings: Settings,
    /// References of the indexes to look in.
    indexes: Vec<String>,
    args: RegistryArgs,
    trust: OnceLock<Trust>,
    store: OnceLock<Store>,
    login: OnceLock<Option<Login>>,
    /// With the registries that it is for.
    client: Mutex<Option<(BTreeSet<String>, Client)>>,
    runtime: OnceLock<Runtime>,
}

/// One reference to pull, and where the manifest behind its tag is looked up.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) reference: Reference,
    pub(crate) tags: TagLookup,
    /// Whether the command or its pipeline names it: the login of the command line and
    /// `--insecure` are for the registries of these, not for what an index or a lock lists.
    pub(crate) is_named: bool,
}

impl Artifacts {
    /// Reads the settings; everything else waits.
    ///
    /// # Errors
    ///
    /// When the settings cannot be read.
    pub(crate) fn new(args: RegistryArgs) -> Result<Self> {
        let settings = Settings::load()?;
        let (trust, store) = (OnceLock::new(), OnceLock::new());
        let (login, runtime) = (OnceLock::new(), OnceLock::new());
        let indexes = settings.indexes.clone();
        Ok(Self { settings, indexes, args, trust, store, login, client: Mutex::default(), runtime })
    }

    /// The same, with the indexes that the command line names in place of the settings'.
    pub(crate) fn with_indexes(self, args: IndexArgs) -> Self {
        if args.index.is_empty() {
            return self;
        }
        Self { indexes: args.index, ..self }
    }

    /// The same, with a login for the registries that the command names.
    pub(crate) fn with_login(self, login: Login) -> Self {
        Self { login: OnceLock::from(Some(login)), ..self }
    }

    /// The local store.
    pub(crate) fn store(&self) -> Result<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Store::open(store_dir()?).map_err(|error| hinted(error.hint(), error))?;
        Ok(self.store.get_or_init(|| store))
    }

    /// The local store, where there is one. Nothing is made.
    pub(crate) fn existing_store(&self) -> Result<Option<&Store>> {
        match store_dir() {
            Ok(dir) if dir.join("index.json").exists() => self.store().map(Some),
            _ => Ok(None),
        }
    }

    /// The client of registries. `registries` are those that the command names: `--insecure`
    /// and the login of the command line are for them.
    pub(crate) fn client(&self, registries: &[&str]) -> Result<Client> {
        let mut made = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let is_for = |named: &BTreeSet<String>| registries.iter().all(|registry| named.contains(*registry));
        if let Some((_, client)) = made.as_ref().filter(|(named, _)| is_for(named)) {
            return Ok(client.clone());
        }
        let mut named = made.take().map(|(named, _)| named).unwrap_or_default();
        named.extend(registries.iter().map(|&registry| registry.to_owned()));
        let mut insecure = self.settings.insecure.clone();
        if self.args.insecure {
            insecure.extend(named.iter().cloned());
        }
        let credentials = match self.login()? {
            Some(login) => {
                if named.len() > 1 {
                    let names: Vec<&str> = named.iter().map(String::as_str).collect();
                    return Err(Hinted::error(
                        format!("the login of the command line is for one registry, not for {}", names.join(" and ")),
                        "keep a login for each with `flowctl login`",
                    ));
                }
                named.iter().fold(credentials(), |credentials, name| credentials.with_login(name, login.clone()))
            }
            None => credentials(),
        };
        let client = Client::new(ClientOptions {
            logins: Some(Arc::new(credentials)),
            insecure,
            ca_files: self.settings.ca_files.iter().chain(&self.args.ca_file).cloned().collect(),
            ..ClientOptions::default()
        });
        *made = Some((named, client.clone()));
        Ok(client)
    }

    /// The login of the command line; standard input is read once.
    fn login(&self) -> Result<Option<&Login>> {
        if self.login.get().is_none() {
            let _ = self.login.set(self.args.login()?);
        }
        Ok(self.login.get().and_then(Option::as_ref))
    }

    /// Waits for something of a registry.
    pub(crate) fn wait<F: Future>(&self, future: F) -> Result<F::Output> {
        if self.runtime.get().is_none() {
            let made = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            let _ = self.runtime.set(made.context("cannot start the async runtime")?);
        }
        let runtime = self.runtime.get().context("cannot start the async runtime")?;
        Ok(runtime.block_on(future))
    }

    /// `reference` as one to a registry; a short name is looked for in the default one.
    ///
    /// # Errors
    ///
    /// When it names nothing in a registry.
    pub(crate) fn registry_ref(&self, reference: &Reference) -> Result<RegistryRef> {
        let found = RegistryRef::from_reference(reference, self.settings.registry.as_deref());
        found.map_err(|error| hinted(error.hint().map(str::to_owned), error))
    }

    /// A reference to an artifact with its registry, as the store knows it.
    ///
    /// # Errors
    ///
    /// As [`Self::registry_ref`]; a layout is as it is.
    pub(crate) fn absolute(&self, reference: &Reference) -> Result<Reference> {
        match reference {
            Reference::Layout { .. } => Ok(reference.clone()),
            reference => Ok(Reference::from(&self.registry_ref(reference)?)),
        }
    }

    /// Whether what the store holds may be used for `reference`, which is absolute, as it is.
    pub(crate) fn admits(&self, reference: &Reference, held: &flowctl_oci::Entry) -> Result<bool> {
        Ok(self.trust()?.admits(reference, held))
    }

    fn trust(&self) -> Result<&Trust> {
        if let Some(trust) = self.trust.get() {
            return Ok(trust);
        }
        let trust = Trust::load(&self.settings, &self.args.verify_key)?;
        Ok(self.trust.get_or_init(|| trust))
    }

    /// Gets every reference into the store, several at once; answers in their order. Each
    /// is a reference to a registry or a layout, or a short name of the default registry.
    pub(crate) fn pull(&self, wanted: &[Wanted], bars: &Bars) -> Result<Vec<Result<Pulled>>> {
        // a policy that cannot be read lets nothing through, and makes no store
        let (trust, store) = (self.trust()?, self.store()?);
        let named: Vec<Result<Named>> = wanted.iter().map(|wanted| self.named(wanted)).collect();
        let of_command = named.iter().zip(wanted).filter(|(_, wanted)| wanted.is_named);
        let registries: Vec<&str> =
            of_command.filter_map(|(named, _)| named.as_ref().ok().and_then(Named::registry)).collect();
        let client = self.client(&registries)?;
        let pulls = named.into_iter().map(|named| async {
            match named? {
                Named::Registry(reference, tags) => {
                    let options = PullOptions { tags, admission: trust.admission(), ..PullOptions::default() };
                    let pulled = pull(&client, store, &reference, &options, bars).await;
                    pulled.map_err(|error| hinted(error.hint(), error))
                }
                Named::Layout { path, tag, digest } => {
                    trust.check_layout(&path)?;
                    let layout = Layout::open(path).map_err(|error| hinted(error.hint(), error))?;
                    let options = PullOptions::default();
                    let pulled = pull_from_layout(&layout, tag.as_deref(), digest, store, &options).await;
                    pulled.map_err(|error| hinted(error.hint(), error))
                }
            }
        });
        // in the order of the references, which `buffered` keeps
        self.wait(futures_util::stream::iter(pulls).buffered(MAX_PULLS).collect())
    }

    /// Gets plugins that an index lists into the store, as entries of a registry. What
    /// cannot be had is warned of.
    pub(crate) fn pull_entries(&self, references: &[Reference]) -> Result<Vec<flowctl_registry::Entry>> {
        let wanted: Vec<Wanted> = references
            .iter()
            .map(|reference| Wanted { reference: reference.clone(), tags: TagLookup::Store, is_named: false })
            .collect();
        let bars = Bars::new(false);
        let pulled = self.pull(&wanted, &bars)?;
        drop(bars);
        let mut entries = Vec::new();
        for (reference, pulled) in references.iter().zip(pulled) {
            match pulled.and_then(|pulled| catalog::artifact(&pulled.path, reference, &pulled.manifest)) {
                Ok(entry) => entries.push(entry),
                Err(error) => report::warn(&error),
            }
        }
        Ok(entries)
    }

    fn named(&self, wanted: &Wanted) -> Result<Named> {
        match &wanted.reference {
            Reference::Layout { path, tag, digest } => {
                Ok(Named::Layout { path: path.clone(), tag: tag.clone(), digest: *digest })
            }
            Reference::File(path) => Err(anyhow!("`{}` is a file: there is nothing to pull", path.display())),
            reference => Ok(Named::Registry(self.registry_ref(reference)?, wanted.tags)),
        }
    }
}

enum Named {
    Registry(RegistryRef, TagLookup),
    Layout { path: PathBuf, tag: Option<String>, digest: Option<flowctl_types::Digest> },
}

impl Named {
    fn registry(&self) -> Option<&str> {
        match self {
            Self::Registry(reference, _) => Some(reference.registry()),
            Self::Layout { .. } => None,
        }
    }
}

/// The logins that docker's configuration keeps.
pub(crate) fn credentials() -> Credentials {
    let found = paths::docker_config().map(Credentials::in_folder).unwrap_or_default();
    match std::env::var_os("PATH") {
        Some(path) => found.with_search_path(path),
        None => found,
    }
}

/// An error of a registry, with what to do about it.
pub(crate) fn refused(error: OciError) -> anyhow::Error {
    hinted(error.hint(), error)
}

/// Takes a secret that was read from a terminal or a file.
pub(crate) fn basic(username: &str, password: Secret) -> Login {
    Login::Basic { username: username.to_owned(), password }
}

/// The folder of the local store. It may not exist.
pub(crate) fn store_dir() -> Result<PathBuf> {
    let data = paths::data()
        .ok_or_else(|| Hinted::error("there is no place for the store of plugins", "set HOME or XDG_DATA_HOME"))?;
    Ok(data.join("plugins"))
}
