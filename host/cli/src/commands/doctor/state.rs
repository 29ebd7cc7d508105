//! What pipelines and the control plane keep in the state directory.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Result;
use flowctl_store::{Holder, StateError, StoredDatabase, examine, holder};

use super::check::{Check, bytes, count};
use crate::report::hinted;

pub(super) fn check(base: Result<PathBuf>) -> Vec<Check> {
    let base = match base {
        Ok(base) => base,
        Err(error) => return vec![Check::of_error("state", &error)],
    };
    let entries = match fs::read_dir(&base) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![Check::note("state", format!("`{}` is not there yet", base.display()))];
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return vec![Check::skipped("state", format!("`{}` cannot be a folder", base.display()))];
        }
        Err(error) => {
            let found = format!("cannot read `{}`: {error}", base.display());
            return vec![Check::failed("state", found, "name another folder with `--state-dir DIR`")];
        }
    };
    let mut folders = pipelines(entries, "");
    for tenant in fs::read_dir(base.join("tenants")).into_iter().flatten().flatten() {
        let entries = fs::read_dir(tenant.path()).into_iter().flatten();
        folders.extend(pipelines(entries, &format!("{}/", tenant.file_name().to_string_lossy())));
    }
    folders.sort();
    let mut checks = control_plane(&base);
    for (name, folder) in &folders {
        checks.push(pipeline(name, folder));
        checks.extend(nodes(name, folder));
    }
    if checks.is_empty() {
        checks.push(Check::note("state", format!("`{}` holds none", base.display())));
    }
    checks
}

/// The folders of those of `entries` that are a pipeline's, each with its name after `tenant`.
fn pipelines(entries: impl Iterator<Item = io::Result<DirEntry>>, tenant: &str) -> Vec<(String, PathBuf)> {
    let named =
        entries.flatten().map(|entry| (format!("{tenant}{}", entry.file_name().to_string_lossy()), entry.path()));
    named.filter(|(_, folder)| folder.join("state.db").symlink_metadata().is_ok()).collect()
}

/// The control plane's database, and the locks of those who had it open.
fn control_plane(base: &Path) -> Vec<Check> {
    let path = base.join("host.db");
    if path.symlink_metadata().is_err() {
        return Vec::new();
    }
    let mut checks = vec![database("control plane", &path, StoredDatabase::Host, "")];
    let locks = fs::read_dir(base.join("hosts")).into_iter().flatten().flatten().map(|entry| entry.path());
    let locks: Vec<Result<Holder, StateError>> = locks.map(|path| holder(&path)).collect();
    let n_left = locks.iter().filter(|found| matches!(found, Ok(Holder::Nobody))).count();
    let n_held = locks.iter().filter(|found| matches!(found, Ok(Holder::Process(_)))).count();
    let open = match n_held {
        1 => "1 process has it open".to_owned(),
        n => format!("{n} processes have it open"),
    };
    checks.push(match n_left {
        0 => Check::ok("control plane locks", open),
        n => {
            let left = format!("{} of processes that were killed", count(n, "lock"));
            Check::note("control plane locks", format!("{open}; {left}, which the next `flowctl serve` takes away"))
        }
    });
    checks
}

/// The state of one pipeline, and who runs it.
fn pipeline(name: &str, folder: &Path) -> Check {
    let running = match holder(&folder.join("lock")) {
        Ok(Holder::Process(pid)) => format!("; process {pid} runs it"),
        Ok(Holder::Nobody) => "; nobody runs it".to_owned(),
        Err(_) => "; it has no lock".to_owned(),
    };
    database(name, &folder.join("state.db"), StoredDatabase::Pipeline, &running)
}

/// What the nodes of a pipeline keep for themselves.
fn nodes(name: &str, folder: &Path) -> Vec<Check> {
    let mut found = Vec::new();
    for node in fs::read_dir(folder.join("nodes")).into_iter().flatten().flatten() {
        let name = format!("{name}/nodes/{}", node.file_name().to_string_lossy());
        let files = fs::read_dir(node.path()).into_iter().flatten().flatten().map(|file| file.path());
        let databases = files.filter(|file| file.extension().is_some_and(|kind| kind == "sqlite"));
        found.extend(databases.map(|file| (name.clone(), file)));
    }
    found.sort();
    found.iter().map(|(name, file)| database(name, file, StoredDatabase::Node, "")).collect()
}

fn database(name: &str, path: &Path, database: StoredDatabase, more: &str) -> Check {
    match examine(path, database) {
        Ok(n_bytes) => Check::ok(name, format!("`{}` is sound, {}{more}", path.display(), bytes(n_bytes))),
        Err(error) => {
            let hint = error.hint();
            Check::of_error(name, &hinted(hint, error))
        }
    }
}
