//! The plugins that are here: in folders, and in the store.

use std::path::{Path, PathBuf};

use flowctl_oci::{Damaged, Depth, Store};
use flowctl_schema::Contract;
use flowctl_types::Reference;

use super::blocking;
use super::check::{Check, State, bytes, count};
use crate::report::hinted;
use crate::{artifacts, catalog};

pub(super) async fn check(folders: Vec<PathBuf>, is_deep: bool) -> Vec<Check> {
    let (folders, store) = tokio::join!(
        blocking(move || folders.iter().flat_map(|folder| of_folder(folder)).collect()),
        blocking(move || of_store(if is_deep { Depth::Digests } else { Depth::Sizes })),
    );
    let none = folders.is_empty().then(|| {
        Check::note("folder", "none is named: plugins come from the store")
            .with("name one with FLOWCTL_PLUGINS or `--plugins`")
    });
    none.into_iter().chain(folders).chain(store).collect()
}

/// A folder of plugins, or one plugin that is named.
fn of_folder(folder: &Path) -> Vec<Check> {
    let name = format!("`{}`", folder.display());
    let is_file = folder.extension().is_some_and(|extension| extension == "wasm") && !folder.is_dir();
    if is_file {
        return vec![match catalog::contract(folder) {
            Ok(contract) => Check::ok(name, described(&contract)),
            Err(error) => Check::of_error(name, &error),
        }];
    }
    let paths = match catalog::components_in(folder) {
        Ok(paths) => paths,
        Err(error) => return vec![Check::of_error(name, &error)],
    };
    let (mut read, mut checks) = (Vec::new(), Vec::new());
    for path in paths {
        match catalog::contract(&path) {
            Ok(contract) => read.push(described(&contract)),
            // commands leave it out, with a warning
            Err(error) => {
                let check = Check::of_error(format!("`{}`", path.display()), &error);
                checks.push(Check { state: State::Warning, ..check });
            }
        }
    }
    let list = if read.is_empty() { String::new() } else { format!(": {}", read.join(", ")) };
    checks.insert(0, Check::ok(name, format!("{}{list}", count(read.len(), "plugin"))));
    checks
}

fn described(contract: &Contract) -> String {
    let version = contract.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    format!("{}{version} (contract {})", contract.name, contract.contract_version)
}

fn of_store(depth: Depth) -> Vec<Check> {
    const NAME: &str = "store";
    let Ok(root) = artifacts::store_dir() else { return vec![Check::skipped(NAME, "there is no place for it")] };
    let verified = match Store::verify(&root, depth) {
        Err(error) => {
            let hint = error.hint().unwrap_or_else(|| format!("move `{}` away, and pull again", root.display()));
            return vec![Check::of_error(NAME, &hinted(Some(hint), error))];
        }
        Ok(None) => return vec![Check::note(NAME, format!("`{}` is not there yet", root.display()))],
        Ok(Some(verified)) => verified,
    };
    let how = match depth {
        Depth::Digests => "every digest is right",
        Depth::Sizes => "sizes are right; `--deep` checks digests",
    };
    let (n, size) = (count(verified.n_entries, "artifact"), bytes(verified.n_bytes));
    if verified.damaged.is_empty() {
        return vec![Check::ok(NAME, format!("{n} of {size}: {how}"))];
    }
    verified.damaged.iter().map(|damaged| mend(NAME, damaged)).collect()
}

/// What is damaged is fetched anew by a pull.
fn mend(name: &str, damaged: &Damaged) -> Check {
    let error = &damaged.error;
    match &damaged.reference {
        Some(reference @ Reference::Oci { .. }) => {
            Check::failed(name, format!("`{reference}` is damaged: {error}"), format!("flowctl pull {reference}"))
        }
        Some(reference) => Check::failed(
            name,
            format!("`{reference}` is damaged: {error}"),
            format!("flowctl plugins remove {reference}"),
        ),
        None => Check::failed(name, format!("an artifact is damaged: {error}"), "flowctl plugins gc"),
    }
}
