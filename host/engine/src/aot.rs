//! The cache of compiled code on disk, and the one place that trusts such code.
//!
//! Invariant: machine code is loaded only if this host compiled it: it comes from the
//! compiler just now, or from a file that belongs to this user, that nobody else could
//! have written, under a name made of the component's digest and of everything the
//! code depends on, and whose checksum holds. Anything else is compiled again.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flowctl_types::Digest;
use tracing::warn;
use wasmtime::Engine;
use wasmtime::component::Component;

/// What a file starts with; the number is the format's.
const MAGIC: &[u8; 16] = b"flowctl-aot/0001";
const HEADER_BYTES: usize = MAGIC.len() + 32;
/// Largest file that is read back.
const MAX_FILE_BYTES: u64 = 2 << 30;

/// A directory of compiled components.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    compatibility: u64,
}

/// Compiled code that this host made: only the compiler and the cache make one.
pub(crate) struct Artifact(Vec<u8>);

impl Artifact {
    /// Wraps what the compiler just gave.
    pub(crate) fn from_compiler(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// Makes a component of it.
    #[allow(unsafe_code)]
    pub(crate) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes must be the unaltered output of `precompile_component`. An
        // `Artifact` is made in two places. `from_compiler` takes the output of this
        // host's own compiler, in this process or straight from the pipe of its child.
        // `Cache::get` takes what this host put into a file, after it checked that the
        // directory and the file belong to this user and are writable by no one else,
        // and that the content has the checksum that was stored with it. wasmtime
        // itself refuses code of another version or of other settings.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}

impl Cache {
    /// Opens `dir`, making it where it is missing.
    ///
    /// # Errors
    ///
    /// When it cannot be made, belongs to someone else, or others may write to it.
    pub(crate) fn open(dir: &Path, engine: &Engine) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        check_owner(&fs::metadata(dir)?)?;
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        env!("CARGO_PKG_VERSION").hash(&mut hasher);
        Ok(Self { dir: dir.to_owned(), compatibility: hasher.finish() })
    }

    /// The code compiled for `component` before, where there is some that can be
    /// trusted. A file that cannot is taken away.
    pub(crate) fn get(&self, component: &Digest) -> Option<Artifact> {
        let path = self.path(component);
        match read(&path) {
            Ok(code) => Some(Artifact(code)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(path = %path.display(), %error, "compiled code is not usable, compiling again");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Keeps `artifact` for `component`. Another process that does the same at this
    /// moment does no harm: whole files replace each other.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; what was there before is there still.
    pub(crate) fn put(&self, component: &Digest, artifact: &Artifact) -> io::Result<()> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let path = self.path(component);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_extension(format!("tmp-{}-{number}", std::process::id()));
        let written = write(&temporary, &artifact.0).and_then(|()| fs::rename(&temporary, &path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Takes away what is kept for `component`.
    pub(crate) fn remove(&self, component: &Digest) {
        let _ = fs::remove_file(self.path(component));
    }

    fn path(&self, component: &Digest) -> PathBuf {
        self.dir.join(format!("{}-{:016x}.aot", component.to_hex(), self.compatibility))
    }
}

fn write(path: &Path, code: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(MAGIC)?;
    file.write_all(Digest::of(code).as_bytes())?;
    file.write_all(code)?;
    file.sync_data()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    check_owner(&metadata)?;
    if metadata.len() > MAX_FILE_BYTES {
        return Err(io::Error::other("it is too large"));
    }
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header)?;
    let (magic, checksum) = header.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(io::Error::other("it does not start as compiled code of flowctl does"));
    }
    let mut code = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(MAX_FILE_BYTES).read_to_end(&mut code)?;
    if Digest::of(&code).as_bytes() != checksum {
        return Err(io::Error::other("its checksum does not hold"));
    }
    Ok(code)
}

/// Checks that a file or directory is this user's and writable by no one else.
fn check_owner(metadata: &fs::Metadata) -> io::Result<()> {
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(io::Error::other(format!("it belongs to user {}, not to {user}", metadata.uid())));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other(format!("others may write to it (mode {:o})", metadata.mode() & 0o777)));
    }
    Ok(())
}
