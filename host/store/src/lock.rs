//! One process at a time.
//!
//! The lock is the kernel's, on an open file: it goes with the process, however that
//! ends. The file's text only says who holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::StateError;

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock in the file `path`.
    pub(crate) fn take(path: &Path) -> Result<Self, StateError> {
        let error = |action| move |source| StateError::File { action, path: path.to_owned(), source };
        let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
        let mut file = open.map_err(error("open"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(source)) => return Err(error("lock")(source)),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // whoever holds it may be about to write its number
                let _ = (&mut file).take(32).read_to_string(&mut text);
                let pid = if text.trim().is_empty() { "of unknown number" } else { text.trim() };
                return Err(StateError::Held { pid: pid.to_owned(), path: path.to_owned() });
            }
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
        written.map_err(error("write"))?;
        Ok(Self { _file: file })
    }
}
