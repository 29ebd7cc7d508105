//! What a user set once for every command: the file `config.yaml`.
//!
//! It lies in `$XDG_CONFIG_HOME/flowctl`, or where FLOWCTL_CONFIG says. Nothing in it is
//! a secret: logins are docker's to keep.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Deserialize;

use crate::paths;
use crate::report::Hinted;

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// The file's content. A file that is not there says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The registry that short names are looked for in, and the beginning of a
    /// repository where there is one: `ghcr.io/acme`.
    pub(crate) registry: Option<String>,
    /// Registries that may be spoken to without TLS.
    pub(crate) insecure: Vec<String>,
    /// Files of certificates to trust beside those of the system, from this file's folder.
    pub(crate) ca_files: Vec<PathBuf>,
    /// Indexes in which plugins are looked for that are not here: `ghcr.io/acme/index:latest`.
    pub(crate) indexes: Vec<String>,
    /// The file that says which plugins need which signatures, from this file's folder.
    /// Default: `policy.yaml` beside it, where that is there.
    pub(crate) policy: Option<PathBuf>,
}

impl Settings {
    /// Reads the user's settings.
    ///
    /// # Errors
    ///
    /// When the file is there and cannot be read, or was named and is not there.
    pub(crate) fn load() -> Result<Self> {
        let named = std::env::var_os("FLOWCTL_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
        let Some(path) = named.clone().or_else(|| Some(paths::config()?.join("config.yaml"))) else {
            return Ok(Self::default());
        };
        let text = match paths::read_text(&path, MAX_BYTES) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => return Ok(Self::beside(&path)),
            Err(error) => {
                return Err(
                    anyhow::Error::new(error).context(format!("cannot read the settings in `{}`", path.display()))
                );
            }
        };
        Self::parse(&path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Ok(Self::beside(path));
        }
        let mut settings: Self = serde_saphyr::from_str(text).map_err(|error| {
            let hint = "known here: `registry`, `insecure`, `ca_files`, `indexes`, `policy`";
            Hinted::error(format!("the settings in `{}` cannot be read: {error}", path.display()), hint)
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for file in settings.ca_files.iter_mut().chain(&mut settings.policy) {
            *file = folder.join(&*file);
        }
        settings.policy = settings.policy.or_else(|| Self::beside(path).policy);
        Ok(settings)
    }

    /// What a file at `path` that says nothing leaves: the policy beside it.
    fn beside(path: &Path) -> Self {
        let policy = path.with_file_name("policy.yaml");
        Self { policy: policy.exists().then_some(policy), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_relative_to_the_settings() {
        let text = "registry: r.example/acme\nca_files: [ca.pem, /etc/ca.pem]\npolicy: rules.yaml\n";
        let settings = Settings::parse(Path::new("/home/me/config.yaml"), text).unwrap();
        assert_eq!(settings.ca_files, [Path::new("/home/me/ca.pem"), Path::new("/etc/ca.pem")]);
        assert_eq!(settings.policy.as_deref(), Some(Path::new("/home/me/rules.yaml")));
        assert_eq!(settings.registry.as_deref(), Some("r.example/acme"));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let error = Settings::parse(Path::new("c.yaml"), "registy: r.example\n").unwrap_err().to_string();
        assert!(error.contains("`c.yaml`") && error.contains("registy") && error.contains('1'), "{error}");
    }
}
