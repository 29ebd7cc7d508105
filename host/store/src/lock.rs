//! One process at a time.
//!
//! The lock is the kernel's, on an open file: it goes with the process, however that
//! ends. The file's text only says who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::StateError;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock in the file `path`, which is created where it is missing.
    pub(crate) fn take(path: &Path) -> Result<Self, StateError> {
        let mut file = options().create(true).open(path).map_err(error("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(error("lock", path)(source)),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // whoever holds it may be about to write its number
                let _ = (&mut file).take(32).read_to_string(&mut text);
                let pid = if text.trim().is_empty() { "of unknown number" } else { text.trim() };
                return Err(StateError::Held { pid: pid.to_owned(), path: path.to_owned() });
            }
        }
        sign(file).map_err(error("write", path))
    }

    /// Takes the lock in the file `path`, which is created where it is missing, and waits
    /// for whoever holds it.
    pub(crate) fn wait(path: &Path) -> Result<Self, StateError> {
        let file = options().create(true).open(path).map_err(error("open", path))?;
        loop {
            match file.lock() {
                Ok(()) => return sign(file).map_err(error("write", path)),
                Err(source) if source.kind() == ErrorKind::Interrupted => {}
                Err(source) => return Err(error("lock", path)(source)),
            }
        }
    }

    /// Takes a lock that was left behind; none where somebody holds it, or the file is gone.
    pub(crate) fn take_over(path: &Path) -> Result<Option<Self>, StateError> {
        let file = match options().open(path) {
            Ok(file) => file,
            Err(source) if source.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(error("open", path)(source)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(error("lock", path)(source)),
        }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

fn error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    move |source| StateError::File { action, path: path.to_owned(), source }
}

/// Writes down who holds the lock.
fn sign(mut file: File) -> io::Result<Lock> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())?;
    Ok(Lock { _file: file })
}
