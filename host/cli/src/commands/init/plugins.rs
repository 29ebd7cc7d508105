//! What a pipeline can be made of here: the registry that `validate` plans with, read once
//! and put together for each set of event types.

use std::path::{Path, PathBuf};

use anyhow::Result;
use flowctl_registry::{Declarations, Entry, LiveComponent, Registry};
use flowctl_schema::{WitFile, WitPackage};

use super::said::Said;
use crate::args::PluginArgs;
use crate::artifacts::Artifacts;
use crate::artifacts::args::RegistryArgs;
use crate::catalog::{self, Local, types};
use crate::commands::topology::check_declared;

/// Plugins of folders, of the store, and of other processes.
pub(super) struct Plugins {
    local: Local,
    stored: Vec<Entry>,
    live: Vec<LiveComponent>,
}

impl Plugins {
    pub(super) fn read(arguments: &PluginArgs) -> Result<Self> {
        let artifacts = Artifacts::new(RegistryArgs::default())?;
        Ok(Self {
            local: Local::read(&arguments.plugins)?,
            stored: catalog::stored(&artifacts)?.into_iter().map(|(entry, _)| entry).collect(),
            live: arguments.plane.live()?,
        })
    }

    /// These, and the event types of `said`: those of its own files, which need not be there
    /// yet, and those of files that are.
    ///
    /// # Errors
    ///
    /// All that is wrong with the types.
    pub(super) fn registry(&self, said: &Said) -> Result<Registry> {
        let own = |path: &str| {
            let name = Path::new(path).file_name()?;
            let (_, text) = said.files.iter().find(|(file, _)| name == *file)?;
            Some(WitFile { name: path.to_owned(), text: (*text).to_owned() })
        };
        let declarations = match said.types.iter().map(|path| own(path)).collect::<Option<Vec<_>>>() {
            Some(files) => {
                let package =
                    |file: WitFile| (file.name.clone(), Ok(WitPackage { files: vec![file], deps: Vec::new() }));
                Declarations::read(files.into_iter().map(package), &catalog::library())
            }
            None => {
                let paths: Vec<PathBuf> = said.types.iter().map(PathBuf::from).collect();
                types::declarations(said.types.iter().cloned().zip(paths.iter().map(PathBuf::as_path)))
            }
        };
        let registry = self.local.registry(Vec::new(), self.stored.clone(), &self.live, declarations);
        check_declared(&registry)?;
        Ok(registry)
    }
}
