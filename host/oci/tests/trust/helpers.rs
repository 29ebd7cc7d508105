//! Credential helpers that do what a test says, and folders with a configuration.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use flowctl_oci::auth::Credentials;
use flowctl_test_support::write_program;
use tempfile::TempDir;

/// A home with a configuration and helpers of its own.
pub(crate) struct Home {
    pub(crate) folder: TempDir,
}

impl Home {
    /// A configuration with this text; none where there is no text.
    pub(crate) fn with_config(text: &str) -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(home.folder.path().join("bin")).unwrap();
        if !text.is_empty() {
            fs::create_dir(home.docker()).unwrap();
            fs::write(home.config(), text).unwrap();
        }
        home
    }

    /// Puts a shell script in place as the helper `name`. What it is asked is kept in the
    /// files `asked` (arguments) and `input`.
    pub(crate) fn helper(self, name: &str, script: &str) -> Self {
        let path = self.folder.path().join("bin").join(format!("docker-credential-{name}"));
        let kept = self.folder.path().display();
        let text = format!("#!/bin/sh\necho \"$@\" >> {kept}/asked\n{script}\n");
        write_program(&path, &text.replace("@HOME@", &kept.to_string())).unwrap();
        self
    }

    pub(crate) fn credentials(&self) -> Credentials {
        let path = format!("relative::{}", self.folder.path().join("bin").display());
        Credentials::in_folder(self.docker()).with_search_path(path)
    }

    pub(crate) fn impatient(&self) -> Credentials {
        self.credentials().with_helper_limit(Duration::from_millis(300))
    }

    pub(crate) fn docker(&self) -> PathBuf {
        self.folder.path().join("docker")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.docker().join("config.json")
    }

    pub(crate) fn text(&self) -> String {
        fs::read_to_string(self.config()).unwrap()
    }

    /// What helpers left in the file `name`.
    pub(crate) fn kept(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}
