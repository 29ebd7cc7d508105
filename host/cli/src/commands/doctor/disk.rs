//! Folders that flowctl writes to: whether it may, and the room that is left there.
//!
//! Invariant: what is written to find that out has no name, and is gone with its handle.

use std::fs::{self, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{self, Path};

use rustix::fs::{Access, Mode, OFlags, StatVfs};

use super::check::{Check, bytes, count};
use crate::output::shell_word;
use crate::{artifacts, paths};

/// With less than this left, the next checkpoint or pull may be the last.
const TOO_LITTLE_SPACE: u64 = 64 << 20;
const LITTLE_SPACE: u64 = 1 << 30;
const TOO_FEW_INODES: u64 = 100;
const FEW_INODES: u64 = 10_000;

pub(super) fn check(state_dir: Option<&Path>) -> Vec<Check> {
    const NO_HOME: &str = "set HOME";
    let mut checks = match state_dir {
        Some(dir) => folder("state", dir, "name another folder with `--state-dir DIR`"),
        None => vec![Check::failed("state", "there is no place for it", NO_HOME)],
    };
    checks.extend(match paths::cache() {
        Some(cache) => compiled(&cache.join("compiled")),
        None => vec![Check::warning("compiled plugins", "there is no place for them: each start compiles", NO_HOME)],
    });
    checks.extend(match artifacts::store_dir() {
        Ok(dir) => folder("store of plugins", &dir, "name another folder with XDG_DATA_HOME"),
        Err(error) => vec![Check::of_error("store of plugins", &error)],
    });
    checks
}

/// Whether `dir` can be written to, or made, and what is left there.
pub(super) fn folder(name: &str, dir: &Path, elsewhere: &str) -> Vec<Check> {
    let shown = dir.display();
    let whole = path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    // what is not there yet is made in the first folder above that is
    let there = whole.ancestors().find(|path| path.symlink_metadata().is_ok()).unwrap_or(&whole);
    let is_new = if there == whole { "" } else { ", which is made when it is needed" };
    if let Err(error) = try_write(there) {
        return vec![Check::failed(
            name,
            format!("cannot write to `{}`: {error}", there.display()),
            remedy(&error, there, elsewhere),
        )];
    }
    match rustix::fs::statvfs(there) {
        Err(error) => vec![Check::failed(name, format!("cannot look at `{shown}`: {error}"), elsewhere)],
        Ok(room) => vec![left(name, &format!("`{shown}`{is_new}"), &room, elsewhere)],
    }
}

fn remedy(error: &io::Error, there: &Path, elsewhere: &str) -> String {
    let there = shell_word(there);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!("make room: `df -h {there}`"),
        io::ErrorKind::PermissionDenied => format!("`chmod u+rwx {there}`, or {elsewhere}"),
        _ => elsewhere.to_owned(),
    }
}

/// What is left of a file system.
fn left(name: &str, shown: &str, room: &StatVfs, elsewhere: &str) -> Check {
    let space = room.f_bavail.saturating_mul(room.f_frsize);
    let mut found = format!("{shown}: {} free", bytes(space));
    // some file systems make inodes as they need them, and say that there are none
    let inodes = (room.f_files > 0).then_some(room.f_favail);
    if let Some(inodes) = inodes {
        found.push_str(&format!(", {inodes} inodes"));
    }
    let inodes = inodes.unwrap_or(u64::MAX);
    let remedy = || format!("make room (`flowctl plugins gc`), or {elsewhere}");
    if space < TOO_LITTLE_SPACE || inodes < TOO_FEW_INODES {
        Check::failed(name, found, remedy())
    } else if space < LITTLE_SPACE || inodes < FEW_INODES {
        Check::warning(name, found, remedy())
    } else {
        Check::ok(name, found)
    }
}

/// The cache of compiled code, which nobody else may write to.
fn compiled(dir: &Path) -> Vec<Check> {
    const NAME: &str = "compiled plugins";
    let mut checks = folder(NAME, dir, "name another folder with XDG_CACHE_HOME");
    let Ok(metadata) = fs::metadata(dir) else { return checks };
    if let Some(check) = foreign(NAME, dir, &metadata) {
        checks.push(check);
    }
    if let Some(check) = checks.first_mut() {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let sizes: Vec<u64> = entries.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).collect();
        check.found.push_str(&format!("; {} of {}", count(sizes.len(), "file"), bytes(sizes.iter().sum())));
    }
    checks
}

/// What makes the engine not use a folder of compiled code.
fn foreign(name: &str, dir: &Path, metadata: &Metadata) -> Option<Check> {
    let user = rustix::process::geteuid().as_raw();
    let shown = dir.display();
    if metadata.uid() != user {
        let found = format!("`{shown}` belongs to user {}: each start compiles", metadata.uid());
        return Some(Check::warning(name, found, format!("chown -R {user} {}", shell_word(dir))));
    }
    let mode = metadata.mode() & 0o777;
    let found = format!("others may write to `{shown}` (mode {mode:o}): each start compiles");
    (mode & 0o022 != 0).then(|| Check::warning(name, found, format!("chmod go-w {}", shell_word(dir))))
}

/// Writes to a file without a name in `dir`; where there are no such files, asks.
pub(super) fn try_write(dir: &Path) -> io::Result<()> {
    if !fs::metadata(dir)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK)?;
    #[cfg(target_os = "linux")]
    match rustix::fs::open(dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
        Ok(file) => fs::File::from(file).write_all(&[0; 4096])?,
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
