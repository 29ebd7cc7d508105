//! Finds the files that a source reads, and opens them.
//!
//! Invariant: files come in the order of their names, byte by byte, and what is opened
//! counts the bytes that were read, decompressed where the file is zstd by its content.
//! So a place in a file is the same number each time it is read.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read, Seek, SeekFrom, Stdin};
use std::path::{Path, PathBuf};

use crate::ConnectorError;
use crate::base_dir::{BaseDir, GLOB_CHARS};

/// First bytes of a zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes that are read from a file at once.
const BUFFER_BYTES: usize = 128 << 10;

/// A file that is read.
#[derive(Debug, Clone)]
pub(crate) struct NamedFile {
    /// What ids and positions call it: its path as the configured one finds it.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) path: PathBuf,
}

/// The files that `pattern` names: one path, or a glob. Each is checked to be a file
/// that can be read and is not empty; their names are text, since ids and positions are.
pub(crate) fn find(
    connector: &'static str,
    pattern: &str,
    base: BaseDir<'_>,
) -> Result<Vec<NamedFile>, ConnectorError> {
    check_pattern(connector, pattern)?;
    let literal = base.path(pattern);
    if !pattern.contains(GLOB_CHARS) || literal.exists() {
        check(connector, &literal)?;
        return Ok(vec![NamedFile { name: pattern.to_owned(), path: literal }]);
    }
    let mut files = Vec::new();
    let start = base.start().filter(|_| Path::new(pattern).is_relative());
    let whole = match &start {
        Some(start) => format!("{}/{pattern}", glob::Pattern::escape(&start.to_string_lossy())),
        None => pattern.to_owned(),
    };
    let matches = glob::glob(&whole).map_err(|mut error| {
        error.pos -= whole.len() - pattern.len();
        ConnectorError::field(connector, "path", format!("is no glob: `{pattern}`: {error}"))
    })?;
    for found in matches {
        let found = found.map_err(|error| ConnectorError::File {
            connector,
            action: "read",
            path: error.path().to_owned(),
            source: error.into(),
        })?;
        let name = start.as_ref().and_then(|start| found.strip_prefix(start).ok()).unwrap_or(&found).to_owned();
        let path = base.path(&name);
        if !path.is_dir() {
            check(connector, &path)?;
            let name = name.into_os_string().into_string().map_err(|name| {
                ConnectorError::field(
                    connector,
                    "path",
                    format!("matches {name:?}, whose name is not UTF-8: rename it"),
                )
            })?;
            files.push(NamedFile { name, path });
        }
    }
    if files.is_empty() {
        let start = match base.start() {
            Some(start) => format!("`{}`", start.display()),
            None => "the directory flowctl was started in".to_owned(),
        };
        let reason = format!("matches no file: `{pattern}`; relative paths start at {start}");
        return Err(ConnectorError::field(connector, "path", reason));
    }
    files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Whether `pattern` can name files, found out without looking for them.
pub(crate) fn check_pattern(connector: &'static str, pattern: &str) -> Result<(), ConnectorError> {
    if pattern.is_empty() {
        let reason = "is empty: name a file, or a glob such as `ledgers/*.zst`";
        return Err(ConnectorError::field(connector, "path", reason));
    }
    Ok(())
}

fn check(connector: &'static str, path: &Path) -> Result<(), ConnectorError> {
    let unreadable = |source| ConnectorError::File { connector, action: "read", path: path.to_owned(), source };
    let field = |reason| Err(ConnectorError::field(connector, "path", reason));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return field(format!("names a directory: write `{}` for the files in it", path.join("*").display()));
    }
    if metadata.is_file() {
        File::open(path).map_err(unreadable)?;
        if metadata.len() == 0 {
            return field(format!("names an empty file: `{}` has 0 bytes", path.display()));
        }
    }
    Ok(())
}

/// A file or stream that is being read, and how far.
pub(crate) struct Input {
    bytes: Bytes,
    offset: u64,
    /// Whether bytes come when somebody writes them: a pipe or terminal.
    is_live: bool,
}

/// What was read to tell the format, and the rest.
type Peeked = Chain<Cursor<Vec<u8>>, Raw>;

enum Bytes {
    Plain(BufReader<Peeked>),
    Zstd(Box<BufReader<zstd::stream::read::Decoder<'static, BufReader<Peeked>>>>),
}

enum Raw {
    File(File),
    Stdin(Stdin),
}

impl Input {
    /// Opens a file at its first byte.
    pub(crate) fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = File::open(path)?;
        let is_live = !file.metadata()?.is_file();
        Self::new(Raw::File(file), is_live)
    }

    /// Takes standard input, from where it is.
    pub(crate) fn stdin() -> io::Result<Self> {
        Self::new(Raw::Stdin(io::stdin()), true)
    }

    fn new(mut raw: Raw, is_live: bool) -> io::Result<Self> {
        let start = peek(&mut raw)?;
        let is_zstd = start.starts_with(&ZSTD_MAGIC);
        let raw = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(start).chain(raw));
        let bytes = if is_zstd {
            let decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
            Bytes::Zstd(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)))
        } else {
            Bytes::Plain(raw)
        };
        Ok(Self { bytes, offset: 0, is_live })
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the file is compressed.
    pub(crate) fn is_compressed(&self) -> bool {
        matches!(self.bytes, Bytes::Zstd(_))
    }

    /// Whether the next byte may have to be waited for.
    pub(crate) fn must_wait(&self) -> bool {
        self.is_live && self.buffered().is_empty()
    }

    /// Whether the next line may have to be waited for.
    pub(crate) fn must_wait_for_line(&self) -> bool {
        self.is_live && !self.buffered().contains(&b'\n')
    }

    fn buffered(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Plain(bytes) => bytes.buffer(),
            Bytes::Zstd(bytes) => bytes.buffer(),
        }
    }

    /// Goes forward to byte `offset`.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the file is shorter.
    pub(crate) fn skip_to(&mut self, offset: u64) -> io::Result<()> {
        let distance = offset.checked_sub(self.offset).ok_or(io::ErrorKind::InvalidInput)?;
        if let Bytes::Plain(bytes) = &mut self.bytes
            && let (start, Raw::File(file)) = bytes.get_mut().get_mut()
            && !self.is_live
        {
            if file.metadata()?.len() < offset {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.seek(SeekFrom::Start(offset))?;
            start.set_position(u64::MAX);
            let n_buffered = bytes.buffer().len();
            bytes.consume(n_buffered);
            self.offset = offset;
            return Ok(());
        }
        let skipped = io::copy(&mut self.by_ref().take(distance), &mut io::sink())?;
        if skipped < distance { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Reads the first bytes: enough to tell whether they are zstd, however few a pipe gives
/// at once, and no more than one read where they are not.
fn peek(raw: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = vec![0; BUFFER_BYTES];
    let mut n_bytes = 0;
    while n_bytes < ZSTD_MAGIC.len() && ZSTD_MAGIC.starts_with(&start[..n_bytes]) {
        match raw.read(&mut start[n_bytes..]) {
            Ok(0) => break,
            Ok(n_read) => n_bytes += n_read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    start.truncate(n_bytes);
    Ok(start)
}

impl Read for Raw {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Stdin(stdin) => stdin.read(buffer),
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n_bytes = match &mut self.bytes {
            Bytes::Plain(bytes) => bytes.read(buffer),
            Bytes::Zstd(bytes) => bytes.read(buffer),
        }?;
        self.offset += n_bytes as u64;
        Ok(n_bytes)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.bytes {
            Bytes::Plain(bytes) => bytes.fill_buf(),
            Bytes::Zstd(bytes) => bytes.fill_buf(),
        }
    }

    fn consume(&mut self, n_bytes: usize) {
        match &mut self.bytes {
            Bytes::Plain(bytes) => bytes.consume(n_bytes),
            Bytes::Zstd(bytes) => bytes.consume(n_bytes),
        }
        self.offset += n_bytes as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_written_wherever_paths_start() {
        let here = std::env::current_dir().unwrap();
        let names = |pattern: &str, base: Option<&Path>| -> Vec<String> {
            find("file", pattern, BaseDir(base)).unwrap().into_iter().map(|file| file.name).collect()
        };
        let absolute = format!("{}/src/http_*/*.rs", here.display());
        let patterns = [
            "src/lib.rs",
            "./src/lib.rs",
            "src//lib.rs",
            "src/*.rs",
            "./src/*.rs",
            "src//*.rs",
            "src/./h*/../*.rs",
            "../connectors/src/**/mod.rs",
            &absolute,
        ];
        for pattern in patterns {
            let found = names(pattern, Some(&here));
            assert_eq!(found, names(pattern, None), "{pattern}");
            assert!(!found.is_empty(), "{pattern}");
        }
    }

    #[test]
    fn what_stands_in_the_name_of_the_base_is_no_wildcard() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("a[b]*");
        std::fs::create_dir_all(base.join("in")).unwrap();
        std::fs::write(base.join("in/x.jsonl"), "x").unwrap();
        let found = find("file", "in/*.jsonl", BaseDir(Some(&base))).unwrap();
        assert_eq!((found[0].name.as_str(), &found[0].path), ("in/x.jsonl", &base.join("in/x.jsonl")));
        let error = find("file", "in/**x", BaseDir(Some(&base))).unwrap_err();
        let want = "`path` of `file` is no glob: `in/**x`: Pattern syntax error near position 5: recursive wildcards must form a single path component";
        assert_eq!(error.to_string(), want);
    }

    /// Gives one byte at a time, and says where it was asked for more than there is.
    struct OneByOne<'a>(&'a [u8]);

    impl Read for OneByOne<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (first, rest) = self.0.split_first().ok_or(io::ErrorKind::WouldBlock)?;
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn zstd_is_told_however_few_bytes_come_at_once() {
        let compressed = zstd::encode_all(&b"events"[..], 1).unwrap();
        assert_eq!(peek(&mut OneByOne(&compressed)).unwrap(), ZSTD_MAGIC);
    }

    #[test]
    fn nothing_is_waited_for_that_cannot_change_what_it_is() {
        assert_eq!(peek(&mut OneByOne(b"7")).unwrap(), b"7");
        assert_eq!(peek(&mut OneByOne(b"(1")).unwrap(), b"(1");
        assert_eq!(peek(&mut &b"(\xb5"[..]).unwrap(), b"(\xb5");
        assert_eq!(peek(&mut &b""[..]).unwrap(), b"");
    }
}
