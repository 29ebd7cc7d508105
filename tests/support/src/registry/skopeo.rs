//! skopeo, a client that this project did not write.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Login, PASSWORD, Registry, USERNAME};

/// skopeo, told how to reach one registry. It trusts what is signed by nobody.
///
/// An image is named as skopeo does: `docker://127.0.0.1:PORT/NAME:TAG` for the
/// registry's, `oci:PATH:TAG` for an image layout, `dir:PATH` for a folder of blobs.
#[derive(Debug)]
pub struct Skopeo {
    is_tls: bool,
    has_password: bool,
    /// Of its own: a user's configuration and credentials stay out of it.
    folder: TempDir,
}

impl Skopeo {
    pub(super) fn of(registry: &Registry) -> Self {
        let folder = tempfile::Builder::new().prefix("flowctl-skopeo-").tempdir().expect("a folder can be made");
        if let Some(certificates) = &registry.certificates {
            std::fs::copy(&certificates.authority, folder.path().join("ca.crt")).expect("a certificate can be copied");
        }
        let has_password = !matches!(registry.login, Login::None);
        Self { is_tls: registry.certificates.is_some(), has_password, folder }
    }

    /// Copies an image with all that belongs to it, without a change: digests stay.
    ///
    /// # Panics
    ///
    /// When skopeo is not installed, or fails; with what it says.
    pub fn copy(&self, from: &str, to: &str) {
        let mut arguments = vec!["copy".to_owned(), "--all".to_owned(), "--preserve-digests".to_owned()];
        for (side, image) in [("src", from), ("dest", to)] {
            if image.starts_with("docker://") {
                arguments.extend(self.access(&format!("{side}-")));
            }
        }
        arguments.extend([from.to_owned(), to.to_owned()]);
        self.run(&arguments);
    }

    /// The manifest of an image of the registry.
    ///
    /// # Panics
    ///
    /// As [`Skopeo::copy`].
    #[must_use]
    pub fn manifest(&self, image: &str) -> Vec<u8> {
        let mut arguments = vec!["inspect".to_owned(), "--raw".to_owned()];
        arguments.extend(self.access(""));
        arguments.push(image.to_owned());
        self.run(&arguments)
    }

    fn access(&self, side: &str) -> Vec<String> {
        let mut arguments = if self.is_tls {
            vec![format!("--{side}cert-dir"), self.folder.path().display().to_string()]
        } else {
            vec![format!("--{side}tls-verify=false")]
        };
        if self.has_password {
            arguments.extend([format!("--{side}creds"), format!("{USERNAME}:{PASSWORD}")]);
        }
        arguments
    }

    fn run(&self, arguments: &[String]) -> Vec<u8> {
        let output = Command::new("skopeo")
            .arg("--insecure-policy")
            .arg("--registries.d")
            .arg(self.folder.path())
            .args(arguments)
            .env("HOME", self.folder.path())
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("REGISTRY_AUTH_FILE", self.folder.path().join("auth.json"))
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("cannot start `skopeo`: {error}; install the Debian package `skopeo`"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "skopeo {} failed: {stderr}", arguments.join(" "));
        output.stdout
    }
}
