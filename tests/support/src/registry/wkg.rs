//! wkg, the WebAssembly community's client of registries.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::{Login, PASSWORD, Registry, USERNAME};

/// Where `cargo xtask` says that wkg is.
const VARIABLE: &str = "FLOWCTL_TEST_WKG";

/// wkg, told how to reach one registry. A reference is `127.0.0.1:PORT/NAME:TAG`.
#[derive(Debug)]
pub struct Wkg {
    program: PathBuf,
    host: String,
    has_password: bool,
    /// Of its own: a user's configuration and credentials stay out of it.
    folder: TempDir,
}

impl Wkg {
    pub(super) fn of(registry: &Registry) -> Self {
        assert!(registry.certificates.is_none(), "wkg trusts no authority of a test");
        let folder = tempfile::Builder::new().prefix("flowctl-wkg-").tempdir().expect("a folder can be made");
        let has_password = !matches!(registry.login, Login::None);
        Self { program: program(), host: registry.address().to_string(), has_password, folder }
    }

    /// Packs a component and uploads it; answers the manifest's digest. It is another one
    /// each time: the time of the day is part of it.
    ///
    /// # Panics
    ///
    /// When wkg is not installed, or fails; with what it says.
    pub fn push(&self, reference: &str, component: &Path) -> String {
        let said = self.run("push", &[reference.as_ref(), component.as_os_str()]);
        let digest = said.lines().find_map(|line| line.strip_prefix("digest: "));
        digest.unwrap_or_else(|| panic!("wkg names no digest: {said}")).to_owned()
    }

    /// Downloads a component into a file.
    ///
    /// # Panics
    ///
    /// As [`Wkg::push`].
    pub fn pull(&self, reference: &str, file: &Path) {
        self.run("pull", &[reference.as_ref(), "--output".as_ref(), file.as_os_str()]);
    }

    fn run(&self, what: &str, arguments: &[&std::ffi::OsStr]) -> String {
        let mut wkg = Command::new(&self.program);
        wkg.args(["oci", what, "--insecure", &self.host]).args(arguments);
        for name in ["HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "DOCKER_CONFIG"] {
            wkg.env(name, self.folder.path());
        }
        if self.has_password {
            wkg.env("WKG_OCI_USERNAME", USERNAME).env("WKG_OCI_PASSWORD", PASSWORD);
        }
        let output = wkg.stdin(Stdio::null()).output().unwrap_or_else(|error| {
            panic!("cannot start `{}`: {error}; `cargo xtask setup` installs it", self.program.display())
        });
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "wkg oci {what} failed: {stderr}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// What [`VARIABLE`] names, else what `cargo xtask setup` has installed below the target
/// directory that this program lies in.
fn program() -> PathBuf {
    if let Some(program) = std::env::var_os(VARIABLE) {
        return program.into();
    }
    let tests = std::env::current_exe().expect("this program has a path");
    // target/debug/deps/program
    let target = tests.ancestors().nth(3).expect("this program lies in a target directory");
    target.join("tools/bin/wkg")
}
