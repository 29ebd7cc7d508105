//! docker's `config.json`: what of it concerns logins, and how it is changed.
//!
//! Invariant: what is not about the login at hand stays as it was, byte for byte and in
//! its order. A change is seen whole or not at all, also after a power cut; the file is
//! readable by its owner only. No error quotes the file's content.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use zeroize::Zeroizing;

use super::{AuthError, Login, Secret, hosts};

/// Most bytes of a configuration file.
const MAX_FILE_BYTES: u64 = 1 << 20;

const AUTHS: &str = "auths";
const CRED_HELPERS: &str = "credHelpers";
const CREDS_STORE: &str = "credsStore";

type Object = IndexMap<String, Box<RawValue>>;

/// The file, as far as it was understood.
pub(super) struct Config {
    path: PathBuf,
    root: Object,
}

/// One entry of `auths`. Unknown fields are older or newer than we are: they stay.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<Secret>,
    username: Option<String>,
    password: Option<Secret>,
    identitytoken: Option<Secret>,
    registrytoken: Option<Secret>,
}

impl Config {
    /// Reads `config.json` in `folder`; a file that is not there has nothing in it.
    pub(super) fn read(folder: &Path) -> Result<Self, AuthError> {
        let path = folder.join("config.json");
        let bytes = match read_bounded(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Zeroizing::new(b"{}".to_vec()),
            Err(source) => return Err(AuthError::File { action: "read", path, source }),
        };
        let bytes: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &bytes };
        // serde's texts may quote what they read: only the place is told
        let root = serde_json::from_slice(bytes).map_err(|error| AuthError::Syntax {
            path: path.clone(),
            line: error.line(),
            column: error.column(),
        })?;
        Ok(Self { path, root })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the helper that keeps the login of `registry`: what stands behind
    /// `docker-credential-` in its program's name.
    pub(super) fn helper(&self, registry: &str) -> Result<Option<String>, AuthError> {
        let helpers: IndexMap<String, String> = self.part(CRED_HELPERS, "must map registries to names of helpers")?;
        let own = helpers.into_iter().find(|(key, _)| hosts::names(key, registry)).map(|(_, name)| name);
        let name = match own {
            Some(name) => Some(name),
            None => self.part::<Option<String>>(CREDS_STORE, "must be the name of a helper")?,
        };
        let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_name {
            return Err(self.content("the name of a credential helper", "must be letters, digits, `-`, `_` and `.`"));
        }
        Ok(Some(name))
    }

    /// The registries that `auths` has an entry for.
    pub(super) fn registries(&self) -> Result<Vec<String>, AuthError> {
        Ok(self.auths()?.into_keys().collect())
    }

    /// All helpers that are named.
    pub(super) fn helpers(&self) -> Result<Vec<String>, AuthError> {
        let of_registries: IndexMap<String, String> =
            self.part(CRED_HELPERS, "must map registries to names of helpers")?;
        let of_all = self.part::<Option<String>>(CREDS_STORE, "must be the name of a helper")?;
        let mut names: Vec<String> = of_registries.into_values().chain(of_all).collect();
        names.retain(|name| !name.is_empty());
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The login that `auths` holds for `registry`.
    pub(super) fn login(&self, registry: &str) -> Result<Option<Login>, AuthError> {
        let auths = self.auths()?;
        let exact = auths.get(registry).map(|raw| (registry, raw));
        let similar =
            || auths.iter().find(|(key, _)| hosts::names(key, registry)).map(|(key, raw)| (key.as_str(), raw));
        let Some((key, raw)) = exact.or_else(similar) else { return Ok(None) };
        let place = || format!("`auths` for `{key}`");
        let entry: Entry =
            serde_json::from_str(raw.get()).map_err(|_| self.content(place(), "must be an object of texts"))?;
        let given = |secret: Option<Secret>| secret.filter(|secret| !secret.expose().is_empty());
        if let Some(token) = given(entry.registrytoken) {
            return Ok(Some(Login::Bearer(token)));
        }
        if let Some(token) = given(entry.identitytoken) {
            return Ok(Some(Login::Identity(token)));
        }
        if let Some(auth) = given(entry.auth) {
            let (username, password) =
                split(&auth).ok_or_else(|| self.content(place(), "must have `auth` as base64 of `user:password`"))?;
            return Ok(Some(Login::Basic { username, password }));
        }
        match (entry.username.filter(|name| !name.is_empty()), given(entry.password)) {
            (Some(username), Some(password)) => Ok(Some(Login::Basic { username, password })),
            _ => Ok(None),
        }
    }

    /// Puts `login` under `auths`, in place of what stood there for `registry`. Without
    /// one the entry is empty, as docker marks registries whose login a helper keeps.
    pub(super) fn set(&mut self, registry: &str, login: Option<&Login>) -> Result<(), AuthError> {
        let mut entry: IndexMap<&str, String> = IndexMap::new();
        match login {
            None | Some(Login::Anonymous) => {}
            Some(Login::Basic { username, password }) => {
                let both = Zeroizing::new(format!("{username}:{}", password.expose()));
                entry.insert("auth", STANDARD.encode(both.as_bytes()));
            }
            Some(Login::Bearer(token)) => {
                entry.insert("registrytoken", token.expose().to_owned());
            }
            Some(Login::Identity(token)) => {
                entry.insert("identitytoken", token.expose().to_owned());
            }
        }
        let mut auths = self.auths()?;
        auths.retain(|key, _| !hosts::names(key, registry));
        auths.insert(hosts::server_address(registry).to_owned(), raw(&entry));
        self.root.insert(AUTHS.to_owned(), raw(&auths));
        Ok(())
    }

    /// Removes what `auths` holds for `registry`, and tells whether there was something.
    pub(super) fn remove(&mut self, registry: &str) -> Result<bool, AuthError> {
        let mut auths = self.auths()?;
        let n_before = auths.len();
        auths.retain(|key, _| !hosts::names(key, registry));
        let is_changed = auths.len() != n_before;
        if is_changed {
            self.root.insert(AUTHS.to_owned(), raw(&auths));
        }
        Ok(is_changed)
    }

    /// Writes the file in place of the one that is there. A symbolic link stays one.
    pub(super) fn write(&self) -> Result<(), AuthError> {
        let target = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let text = Zeroizing::new(serde_json::to_vec_pretty(&self.root).expect("texts and raw JSON are JSON"));
        replace(&target, &text).map_err(|source| AuthError::File { action: "write", path: target, source })
    }

    fn auths(&self) -> Result<Object, AuthError> {
        self.part(AUTHS, "must be an object")
    }

    fn part<T: for<'de> Deserialize<'de> + Default>(&self, key: &str, rule: &'static str) -> Result<T, AuthError> {
        let Some(raw) = self.root.get(key).filter(|raw| raw.get() != "null") else { return Ok(T::default()) };
        serde_json::from_str(raw.get()).map_err(|_| self.content(format!("`{key}`"), rule))
    }

    fn content(&self, place: impl Into<String>, rule: &'static str) -> AuthError {
        AuthError::Content { path: self.path.clone(), place: place.into(), rule }
    }
}

/// Holds everybody else off the configuration in `folder`, which is made where it is not
/// there, until the file is dropped. The folder itself is locked, so nothing is left behind.
pub(super) fn lock(folder: &Path) -> Result<File, AuthError> {
    let failed = |action| move |source| AuthError::File { action, path: folder.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create"))?;
    let handle = File::open(folder).map_err(failed("open"))?;
    handle.lock().map_err(failed("lock"))?;
    Ok(handle)
}

fn read_bounded(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has more than 1 MiB"));
    }
    Ok(bytes)
}

fn replace(target: &Path, text: &[u8]) -> io::Result<()> {
    let folder = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".config.json.")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    file.persist(target).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

fn raw(object: &impl serde::Serialize) -> Box<RawValue> {
    to_raw_value(object).expect("texts and raw JSON are JSON")
}

/// Splits base64 of `user:password`. docker fills some passwords up with zeroes.
fn split(auth: &Secret) -> Option<(String, Secret)> {
    let bytes = Zeroizing::new(STANDARD.decode(auth.expose().trim()).ok()?);
    let (username, password) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    let password = password.trim_matches('\0');
    Some((username.to_owned(), Secret::new(password.to_owned())))
}
