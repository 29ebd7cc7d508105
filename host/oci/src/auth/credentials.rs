//! Where the login of a registry is found, kept and forgotten.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::{self, Config};
use super::helper::{self, Helper};
use super::{AuthError, Login, hosts};
use crate::Logins;

/// How long a credential helper may take, where nothing else is said. Some ask a person.
const HELPER_LIMIT: Duration = Duration::from_secs(30);

/// The logins of a user. The default has none: everybody is anonymous.
///
/// What a command line gave for a registry comes first. Then docker's configuration is
/// asked: the helper that `credHelpers` names for the registry, else the one that
/// `credsStore` names for all, else, or where the helper keeps nothing, `auths`.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    given: Vec<(String, Login)>,
    folder: Option<PathBuf>,
    search_path: Option<OsString>,
    helper_limit: Option<Duration>,
}

/// Where a login was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// Into this file, readable by its owner, in base64 and not encrypted.
    File(PathBuf),
    /// With this credential helper.
    Helper(String),
}

/// What docker's configuration holds, without a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The file.
    pub path: PathBuf,
    /// The registries whose logins lie in it, as it names them.
    pub registries: Vec<String>,
    /// The credential helpers that it names: what stands behind `docker-credential-`.
    pub helpers: Vec<String>,
    /// The first of these that is not installed.
    pub missing: Option<String>,
}

impl Credentials {
    /// The logins that docker's `config.json` in `folder` names. It need not be there.
    #[must_use]
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self { folder: Some(folder.into()), ..Self::default() }
    }

    /// Looks for credential helpers in these folders, written as `PATH` is. Without them
    /// no helper is found; relative ones are passed over.
    #[must_use]
    pub fn with_search_path(self, path: impl Into<OsString>) -> Self {
        Self { search_path: Some(path.into()), ..self }
    }

    /// How long a credential helper may take; 30 seconds where nothing is said.
    #[must_use]
    pub fn with_helper_limit(self, limit: Duration) -> Self {
        Self { helper_limit: Some(limit), ..self }
    }

    /// Takes `login` for `registry`, whatever the configuration says. No other registry
    /// is shown it.
    #[must_use]
    pub fn with_login(mut self, registry: &str, login: Login) -> Self {
        self.given.retain(|(given, _)| given != registry);
        self.given.push((registry.to_owned(), login));
        self
    }

    /// The login for `registry`, a host and a port where one is written.
    ///
    /// # Errors
    ///
    /// [`AuthError`] when the configuration cannot be read, or a helper fails. A registry
    /// of which nothing is known is no error: the login is [`Login::Anonymous`].
    pub async fn login(&self, registry: &str) -> Result<Login, AuthError> {
        if let Some((_, login)) = self.given.iter().find(|(given, _)| hosts::names(given, registry)) {
            return Ok(login.clone());
        }
        let Some(folder) = &self.folder else { return Ok(Login::Anonymous) };
        let config = Config::read(folder)?;
        if let Some(name) = config.helper(registry)?
            && let Some(login) = self.helper(&name, config.path(), registry).get().await?
        {
            return Ok(login);
        }
        Ok(config.login(registry)?.unwrap_or(Login::Anonymous))
    }

    /// What docker's configuration holds: nothing where there is none. No helper is asked.
    ///
    /// # Errors
    ///
    /// [`AuthError`] when it cannot be read.
    pub fn summary(&self) -> Result<Option<Summary>, AuthError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let config = Config::read(folder)?;
        if !config.path().exists() {
            return Ok(None);
        }
        let (registries, helpers) = (config.registries()?, config.helpers()?);
        let missing = helpers.iter().find(|name| helper::find(name, self.search_path.as_ref()).is_none()).cloned();
        Ok(Some(Summary { path: config.path().to_owned(), registries, helpers, missing }))
    }

    /// Keeps `login` for `registry`: with the helper that the configuration names for it,
    /// else in the configuration file, whose other content stays as it is.
    ///
    /// # Errors
    ///
    /// [`AuthError`] when there is no folder, when a helper fails or takes no such login,
    /// or when the file cannot be written. What was kept before is still there then.
    pub async fn keep(&self, registry: &str, login: &Login) -> Result<Kept, AuthError> {
        let unkeepable = |kind, place: &str| AuthError::Unkeepable { kind, place: place.to_owned() };
        let Some(folder) = &self.folder else { return Err(unkeepable("login", "without a configuration folder")) };
        if *login == Login::Anonymous {
            return Err(unkeepable("login without a user", "anywhere"));
        }
        if let Login::Basic { username, .. } = login
            && username.contains(':')
        {
            return Err(unkeepable("user name with a colon", "in base64 of `user:password`"));
        }
        let name = Config::read(folder)?.helper(registry)?;
        if let Some(name) = &name {
            let path = folder.join("config.json");
            self.helper(name, &path, registry).store(login).await?;
        }
        let is_in_file = name.is_none();
        let path = change(folder, |config| {
            config.set(registry, is_in_file.then_some(login))?;
            Ok(true)
        })?
        .1;
        Ok(name.map_or(Kept::File(path), |name| Kept::Helper(format!("docker-credential-{name}"))))
    }

    /// Forgets the login of `registry`, with the helper and in the file, and tells whether
    /// there was one.
    ///
    /// # Errors
    ///
    /// [`AuthError`] when a helper fails, or the file cannot be read or written. A login
    /// may be left then.
    pub async fn forget(&self, registry: &str) -> Result<bool, AuthError> {
        let Some(folder) = &self.folder else { return Ok(false) };
        let config = Config::read(folder)?;
        let is_known_to_helper = match config.helper(registry)? {
            Some(name) => {
                let helper = self.helper(&name, config.path(), registry);
                // helpers say nothing of what they did not know: what they had is asked first
                helper.get().await?.is_some() && helper.erase().await?
            }
            None => false,
        };
        if config.login(registry)?.is_none() && !is_known_to_helper {
            return Ok(false);
        }
        change(folder, |config| config.remove(registry))?;
        Ok(true)
    }

    fn helper<'a>(&'a self, name: &'a str, config: &'a Path, registry: &'a str) -> Helper<'a> {
        Helper {
            name,
            search_path: self.search_path.as_ref(),
            limit: self.helper_limit.unwrap_or(HELPER_LIMIT),
            config,
            registry,
            server: hosts::server_address(registry),
        }
    }
}

#[async_trait::async_trait]
impl Logins for Credentials {
    async fn login(&self, registry: &str) -> Result<Login, Box<dyn Error + Send + Sync>> {
        Ok(Credentials::login(self, registry).await?)
    }
}

/// Changes the file while no other flowctl does; it is written where `edit` says so.
/// Returns whether it was, and where.
fn change(
    folder: &Path,
    edit: impl FnOnce(&mut Config) -> Result<bool, AuthError>,
) -> Result<(bool, PathBuf), AuthError> {
    let _held = config::lock(folder)?;
    let mut config = Config::read(folder)?;
    let is_changed = edit(&mut config)?;
    if is_changed {
        config.write()?;
    }
    Ok((is_changed, config.path().to_owned()))
}
