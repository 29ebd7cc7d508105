//! A throw-away OCI registry on loopback, for tests: Debian's `docker-registry`.
//!
//! Invariant: no registry outlives the process that started it, as with
//! [`postgres`](crate::postgres). Its blobs, its log and its certificates are in one
//! temporary folder. Its HTTP client here is of its own: what is tested has no part in
//! what a test expects. What cannot be done is a panic that says why.
//!
//! To make a registry misbehave, put a [`FaultProxy`](crate::fault_proxy::FaultProxy)
//! before it, or change what it has stored with [`Registry::replace_blob`].

mod access_log;
mod artifact;
mod client;
mod skopeo;
mod tokens;
mod wkg;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::json;
use sha2::{Digest as _, Sha256};

pub use self::access_log::Logged;
pub use self::artifact::{Artifact, COMPONENT_MEDIA_TYPE, CONFIG_MEDIA_TYPE, MANIFEST_MEDIA_TYPE};
pub use self::skopeo::Skopeo;
pub use self::tokens::{IDENTITY_TOKEN, TokenServer};
pub use self::wkg::Wkg;

use self::access_log::AccessLog;
use self::client::{Answer, Client};
use self::tokens::Authority;
use crate::certificates::Certificates;
use crate::port::Port;
use crate::process::Process;

/// The one user of a registry that wants to know whom it serves.
pub const USERNAME: &str = "flowctl";
/// The user's password, which must never be seen in an error.
pub const PASSWORD: &str = "hunter2-is-secret";

/// The user's entry in a file of htpasswd: bcrypt of [`PASSWORD`], made cheap.
const HTPASSWD: &str = "flowctl:$2b$05$FlowctlTestRegistryAuuRbQj5Pz2QELYaKu4BVimxVSl7lfUUFa\n";
const PROGRAM: &str = "docker-registry";
/// What its log says once it takes connections.
const READY: &str = "listening on ";

/// How a registry is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP.
    #[default]
    Plain,
    /// HTTPS, with a certificate for `localhost` and 127.0.0.1 by [`Registry::ca_file`].
    Tls,
}

/// Whom a registry serves.
#[derive(Debug, Clone, Copy, Default)]
pub enum Access<'a> {
    /// Anyone.
    #[default]
    Anyone,
    /// [`USERNAME`] with [`PASSWORD`], by Basic authentication.
    Password,
    /// Who brings a token of this server.
    Tokens(&'a TokenServer),
}

/// A registry of its own, on 127.0.0.1. Nothing is cached: it serves what its files
/// hold. Manifests and blobs can be deleted. It has no API for referrers.
#[derive(Debug)]
pub struct Registry {
    // before the folder: what runs in it has to end first
    process: Option<Process>,
    port: Port,
    log: Arc<AccessLog>,
    n_markers: AtomicUsize,
    certificates: Option<Certificates>,
    login: Login,
    folder: tempfile::TempDir,
}

#[derive(Debug)]
enum Login {
    None,
    Password,
    Tokens(Arc<Authority>),
}

impl Registry {
    /// Starts a registry that serves anyone, over plain HTTP.
    ///
    /// # Panics
    ///
    /// When the registry is not installed, or does not start; with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Transport::default(), Access::default())
    }

    /// Starts a registry.
    ///
    /// # Panics
    ///
    /// As [`Registry::start`].
    #[must_use]
    pub fn start_with(transport: Transport, access: Access<'_>) -> Self {
        let folder =
            tempfile::Builder::new().prefix("flowctl-registry-").tempdir().expect("a temporary folder can be made");
        let certificates = match transport {
            Transport::Plain => None,
            Transport::Tls => Some(Certificates::make(folder.path(), &["localhost", "127.0.0.1"])),
        };
        let (login, auth) = login(access, folder.path());
        let mut registry = Self {
            process: None,
            port: Port::take(),
            log: Arc::default(),
            n_markers: AtomicUsize::new(0),
            certificates,
            login,
            folder,
        };
        registry.launch(&auth);
        registry
    }

    /// Its address, which is its name in a reference too: `127.0.0.1:PORT`.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Where it is, as a URL without a slash at its end.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.certificates.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// The certificate of the authority that signed the registry's.
    ///
    /// # Panics
    ///
    /// When the registry does not take TLS.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.certificates.as_ref().expect("the registry was started with TLS").authority
    }

    /// The certificate of an authority that signed nothing.
    ///
    /// # Panics
    ///
    /// When the registry does not take TLS.
    #[must_use]
    pub fn other_ca_file(&self) -> &Path {
        &self.certificates.as_ref().expect("the registry was started with TLS").stranger
    }

    /// The requests that it has answered so far, in the order of their ends.
    ///
    /// A request is logged after its answer: one whose client has only just seen the
    /// answer may come late by an instant. A [`FaultProxy`](crate::fault_proxy::FaultProxy)
    /// counts requests as they come.
    ///
    /// # Panics
    ///
    /// When the registry does not run.
    #[must_use]
    pub fn requests(&self) -> Vec<Logged> {
        let marker = format!("/?marker={}", self.n_markers.fetch_add(1, Ordering::Relaxed));
        let answer = self.ask("GET", &marker, &[], &[]);
        assert_eq!(answer.status, 200, "the registry's root: {answer}");
        self.log.until(&marker)
    }

    /// Uploads a blob where the repository lacks it, and answers its digest.
    ///
    /// # Panics
    ///
    /// When the registry refuses it.
    pub fn push_blob(&self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        let has = self.ask_about(repository, "HEAD", &format!("/v2/{repository}/blobs/{digest}"), &[], &[]);
        if has.status == 200 {
            return digest;
        }
        let begun = self.ask_about(repository, "POST", &format!("/v2/{repository}/blobs/uploads/"), &[], &[]);
        let location = begun.header("location").filter(|_| begun.status == 202);
        let location = location.unwrap_or_else(|| panic!("no upload to `{repository}`: {begun}"));
        // absolute, by the name that it was asked under
        let target = location.strip_prefix(&self.url()).unwrap_or(location);
        let joint = if target.contains('?') { '&' } else { '?' };
        let target = format!("{target}{joint}digest={digest}");
        let octets = ("Content-Type", "application/octet-stream".to_owned());
        let ended = self.ask_about(repository, "PUT", &target, &[octets], bytes);
        assert_eq!(ended.status, 201, "a blob for `{repository}`: {ended}");
        digest
    }

    /// Uploads a manifest under a tag or its digest, and answers its digest.
    ///
    /// # Panics
    ///
    /// When the registry refuses it.
    pub fn push_manifest(&self, repository: &str, reference: &str, media_type: &str, bytes: &[u8]) -> String {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.ask_about(repository, "PUT", &target, &[("Content-Type", media_type.to_owned())], bytes);
        assert_eq!(answer.status, 201, "a manifest for `{repository}:{reference}`: {answer}");
        digest(bytes)
    }

    /// Uploads an artifact under a tag, and answers its manifest's digest.
    ///
    /// # Panics
    ///
    /// When the registry refuses a part of it.
    pub fn push(&self, repository: &str, tag: &str, artifact: &Artifact) -> String {
        for blob in artifact.blobs() {
            self.push_blob(repository, blob);
        }
        self.push_manifest(repository, tag, &artifact.media_type, &artifact.manifest())
    }

    /// The manifest of a tag or a digest; none where there is none.
    ///
    /// # Panics
    ///
    /// When the registry answers neither.
    #[must_use]
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Vec<u8>> {
        let accept = (
            "Accept",
            "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json".to_owned(),
        );
        self.get(repository, &format!("/v2/{repository}/manifests/{reference}"), &[accept])
    }

    /// A blob; none where there is none.
    ///
    /// # Panics
    ///
    /// When the registry answers neither.
    #[must_use]
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.get(repository, &format!("/v2/{repository}/blobs/{digest}"), &[])
    }

    /// The tags of a repository, sorted; none where there is no such repository.
    ///
    /// # Panics
    ///
    /// When the registry answers neither.
    #[must_use]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let Some(body) = self.get(repository, &format!("/v2/{repository}/tags/list"), &[]) else { return Vec::new() };
        let list: serde_json::Value = serde_json::from_slice(&body).expect("a list of tags is JSON");
        let tags = list["tags"].as_array().into_iter().flatten();
        let mut tags: Vec<String> = tags.filter_map(|tag| tag.as_str().map(str::to_owned)).collect();
        tags.sort();
        tags
    }

    /// Deletes a manifest, and with it the tags that name it.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn delete_manifest(&self, repository: &str, digest: &str) {
        let answer = self.ask_about(repository, "DELETE", &format!("/v2/{repository}/manifests/{digest}"), &[], &[]);
        assert_eq!(answer.status, 202, "deleting `{repository}@{digest}`: {answer}");
    }

    /// Where the registry stores the content of that digest, be it a blob or a manifest.
    ///
    /// # Panics
    ///
    /// When `digest` is no SHA-256.
    #[must_use]
    pub fn blob_file(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.is_ascii());
        let hex = hex.unwrap_or_else(|| panic!("`{digest}` is not a digest of SHA-256"));
        self.storage().join("docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }

    /// Has the registry serve other bytes under a digest that it holds.
    ///
    /// # Panics
    ///
    /// When it does not hold the digest.
    pub fn replace_blob(&self, digest: &str, bytes: &[u8]) {
        let file = self.blob_file(digest);
        assert!(file.is_file(), "the registry does not hold `{digest}`");
        std::fs::write(file, bytes).expect("the registry's folder can be written");
    }

    /// Has the registry lose the content of a digest that its repositories still name.
    ///
    /// # Panics
    ///
    /// When it does not hold the digest.
    pub fn lose_blob(&self, digest: &str) {
        std::fs::remove_file(self.blob_file(digest)).expect("the registry holds the blob");
    }

    /// Ends the registry at once: its port answers nobody until [`Registry::restart`].
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn kill(&mut self) {
        self.process.take().expect("the registry runs").kill();
    }

    /// Starts the registry again at the same address, on what it holds.
    ///
    /// # Panics
    ///
    /// When it does not start; with its log.
    pub fn restart(&mut self) {
        drop(self.process.take());
        let auth: serde_json::Value = std::fs::read(self.config_file())
            .ok()
            .and_then(|config| serde_json::from_slice::<serde_json::Value>(&config).ok())
            .map(|config| config["auth"].clone())
            .expect("the registry was started before");
        self.launch(&auth);
    }

    /// skopeo, told how to reach this registry.
    #[must_use]
    pub fn skopeo(&self) -> Skopeo {
        Skopeo::of(self)
    }

    /// wkg, told how to reach this registry.
    ///
    /// # Panics
    ///
    /// When the registry takes TLS: wkg trusts the authorities of the system alone.
    #[must_use]
    pub fn wkg(&self) -> Wkg {
        Wkg::of(self)
    }

    fn storage(&self) -> PathBuf {
        self.folder.path().join("storage")
    }

    fn config_file(&self) -> PathBuf {
        self.folder.path().join("config.json")
    }

    fn launch(&mut self, auth: &serde_json::Value) {
        let mut http = json!({"addr": self.address().to_string(), "secret": "of tests"});
        if let Some(certificates) = &self.certificates {
            http["tls"] = json!({"certificate": certificates.certificate, "key": certificates.key});
        }
        let mut config = json!({
            "version": "0.1",
            "log": {"level": "info", "formatter": "text", "accesslog": {"disabled": false}},
            "storage": {
                "filesystem": {"rootdirectory": self.storage()},
                "delete": {"enabled": true},
                "maintenance": {"uploadpurging": {"enabled": false}},
            },
            "http": http,
        });
        if !auth.is_null() {
            config["auth"] = auth.clone();
        }
        // JSON is YAML, which the registry reads
        std::fs::write(self.config_file(), config.to_string()).expect("the temporary folder can be written");
        let (reader, writer) = std::io::pipe().expect("a pipe can be made");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = program(&path);
        let mut command = Command::new("setpriv");
        // the registry takes settings from its environment
        command.env_clear().env("PATH", path).current_dir("/");
        command.args(["--pdeathsig", "KILL"]).arg(program).arg("serve").arg(self.config_file()).stdout(writer);
        self.log.follow(reader);
        match Process::start(command, READY, Signal::KILL) {
            Ok(process) => self.process = Some(process),
            Err(log) => panic!("{PROGRAM} does not start:\n{log}"),
        }
    }

    fn get(&self, repository: &str, target: &str, headers: &[(&str, String)]) -> Option<Vec<u8>> {
        let answer = self.ask_about(repository, "GET", target, headers, &[]);
        match answer.status {
            200 => Some(answer.body),
            404 => None,
            _ => panic!("`{target}`: {answer}"),
        }
    }

    /// Asks with the right to do everything to `repository`.
    fn ask_about(
        &self,
        repository: &str,
        method: &str,
        target: &str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Answer {
        let mut headers = headers.to_vec();
        match &self.login {
            Login::None => {}
            Login::Password => headers.push(("Authorization", tokens::basic(USERNAME, PASSWORD))),
            Login::Tokens(authority) => {
                let token = authority.token(&format!("repository:{repository}:pull,push,delete"));
                headers.push(("Authorization", format!("Bearer {token}")));
            }
        }
        self.ask(method, target, &headers, body)
    }

    fn ask(&self, method: &str, target: &str, headers: &[(&str, String)], body: &[u8]) -> Answer {
        let client = Client { address: self.address(), ca_file: self.certificates.as_ref().map(|of| &*of.authority) };
        client.ask(method, target, headers, body)
    }
}

/// `sha256:` and the hex of the bytes' digest.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How to log in, and the registry's settings for it.
fn login(access: Access<'_>, folder: &Path) -> (Login, serde_json::Value) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("the temporary folder can be written");
        path
    };
    match access {
        Access::Anyone => (Login::None, serde_json::Value::Null),
        Access::Password => {
            let path = write("htpasswd", HTPASSWD);
            (Login::Password, json!({"htpasswd": {"realm": "test", "path": path}}))
        }
        Access::Tokens(server) => {
            let bundle = write("tokens.pem", &server.authority().certificate_pem());
            let settings = json!({
                "realm": server.realm(), "service": tokens::SERVICE, "issuer": tokens::ISSUER, "rootcertbundle": bundle
            });
            (Login::Tokens(Arc::clone(server.authority())), json!({"token": settings}))
        }
    }
}

fn program(path: &std::ffi::OsStr) -> PathBuf {
    std::env::split_paths(path)
        .map(|folder| folder.join(PROGRAM))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("`{PROGRAM}` is missing: install the Debian package `{PROGRAM}`"))
}
