//! One file of ledgers, read ledger by ledger.
//!
//! The format is told by the content: zstd or not, and within it RFC 5531 records,
//! batches, or lines of base64. Invariant: what is handed out is a whole ledger,
//! well-formed from its first byte to its last, or nothing, and a file that lies about
//! lengths costs at most [`MAX_LEDGER_BYTES`].

use std::io::{self, BufRead, ErrorKind, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowctl_xdr::Malformed;
use stellar_xdr::Error as XdrError;

use super::ledger::{self, Header, MAX_LEDGER_BYTES};
use super::position::Place;
use crate::files::{Input, NamedFile};

/// Longest line of base64: what [`MAX_LEDGER_BYTES`] need, and a line end.
const MAX_LINE_BYTES: usize = MAX_LEDGER_BYTES.div_ceil(3) * 4 + 2;
/// Set in the mark of a record's last fragment; the rest is its length.
const LAST_FRAGMENT: u32 = 1 << 31;

/// A file of ledgers that cannot be read further.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` at byte {offset}{}: {reason}", if *is_compressed { " of what is compressed in it" } else { "" })]
pub(crate) struct LedgerError {
    file: String,
    /// Where the ledger starts that cannot be read.
    offset: u64,
    is_compressed: bool,
    #[source]
    reason: Reason,
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("cannot be read: {0}")]
    Io(#[source] io::Error),
    #[error("the zstd data is damaged or cut off: {0}")]
    Zstd(#[source] io::Error),
    #[error("there is nothing in it")]
    Empty,
    #[error(
        "not ledgers: it starts with `{0}`; expected RFC 5531 records, a LedgerCloseMetaBatch or lines of base64, or zstd around one of these"
    )]
    Format(String),
    #[error("the record mark {0:#010x} is not that of a whole record, which has the top bit set")]
    Mark(u32),
    #[error("a ledger of {n_bytes} bytes, more than the limit of {MAX_LEDGER_BYTES}")]
    TooLarge { n_bytes: u64 },
    #[error("a batch of ledgers {start} to {end} that says it has {count}")]
    Batch { start: u32, end: u32, count: u32 },
    #[error("the file ends inside a ledger")]
    CutOff,
    #[error("the line is not base64: {0}")]
    Base64(#[source] base64::DecodeError),
    #[error("a line of more than {MAX_LINE_BYTES} bytes")]
    LongLine,
    #[error("not a ledger: it ends inside its header")]
    Header,
    #[error("not a ledger: {0}")]
    Xdr(#[source] XdrError),
    #[error("not a ledger: {0} of it")]
    Malformed(#[source] Malformed),
    #[error(
        "the file is shorter than when it was read before; put the old one back, or start anew without the stored position"
    )]
    Shorter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Records,
    Batches,
    Lines,
}

/// A file of ledgers.
pub(crate) struct LedgerFile {
    name: String,
    input: Input,
    format: Format,
    /// Ledgers still to come of the current batch.
    left: u32,
    line: Vec<u8>,
}

/// A ledger that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where it starts in the file, in bytes, decompressed.
    pub(crate) offset: u64,
    /// What its header says.
    pub(crate) header: Header,
}

impl LedgerFile {
    /// Opens a file at its first ledger.
    pub(crate) fn open(NamedFile { name, path }: &NamedFile) -> Result<Self, LedgerError> {
        let error = |is_compressed, reason| LedgerError { file: name.clone(), offset: 0, is_compressed, reason };
        let mut input = Input::open(path).map_err(|source| error(false, Reason::Io(source)))?;
        let is_compressed = input.is_compressed();
        let format = match input.fill_buf() {
            Ok(start) => detect(start).map_err(|reason| error(is_compressed, reason))?,
            Err(source) => return Err(error(is_compressed, io_reason(source, is_compressed))),
        };
        Ok(Self { name: name.clone(), input, format, left: 0, line: Vec::new() })
    }

    /// Opens a file where it was left.
    pub(crate) fn open_at(file: &NamedFile, place: &Place) -> Result<Self, LedgerError> {
        let mut file = Self::open(file)?;
        if let Err(source) = file.input.skip_to(place.offset) {
            let reason = match source.kind() {
                ErrorKind::UnexpectedEof if !file.input.is_compressed() => Reason::Shorter,
                _ => io_reason(source, file.input.is_compressed()),
            };
            return Err(file.error(place.offset, reason));
        }
        file.left = place.left;
        Ok(file)
    }

    /// Where the file is, behind the last ledger that was read.
    pub(crate) fn place(&self, is_read: bool) -> Place {
        Place { file: self.name.clone(), offset: self.input.offset(), left: self.left, is_read }
    }

    /// Whether the next ledger may have to be waited for.
    pub(crate) fn must_wait(&self) -> bool {
        self.input.must_wait()
    }

    /// Appends the next ledger to `xdr`; none where there is no further one.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] where the file cannot be read further; `xdr` is as it was then.
    pub(crate) fn read(&mut self, xdr: &mut Vec<u8>) -> Result<Option<Found>, LedgerError> {
        let (start, length) = (self.input.offset(), xdr.len());
        let result = match self.format {
            Format::Records => self.read_record(xdr),
            Format::Batches => self.read_of_batch(xdr),
            Format::Lines => self.read_line(xdr),
        };
        let result = result.and_then(|offset| match offset {
            None => Ok(None),
            Some(offset) => {
                let header = self.check(&xdr[length..]).map_err(|reason| (offset, reason))?;
                Ok(Some(Found { offset, header }))
            }
        });
        result.map_err(|(offset, reason)| {
            xdr.truncate(length);
            debug_assert!(offset >= start, "a ledger starts behind the one before it");
            self.error(offset, reason)
        })
    }

    /// Checks a ledger that was read, and answers its header.
    fn check(&self, xdr: &[u8]) -> Result<Header, Reason> {
        let header = ledger::header(xdr).map_err(|error| match error {
            XdrError::Io(_) => Reason::Header,
            error => Reason::Xdr(error),
        });
        // of a batch, the walk has found the end
        let is_checked = self.format == Format::Batches;
        let checked = header.and_then(|header| {
            if !is_checked {
                ledger::check(xdr).map_err(Reason::Malformed)?;
            }
            Ok(header)
        });
        // without a line end the file may have been cut off where base64 does not show it
        let is_unfinished = self.format == Format::Lines && self.line.last() != Some(&b'\n');
        checked.map_err(|reason| if is_unfinished { Reason::CutOff } else { reason })
    }

    fn read_record(&mut self, xdr: &mut Vec<u8>) -> Result<Option<u64>, (u64, Reason)> {
        let start = self.input.offset();
        if self.is_at_end()? {
            return Ok(None);
        }
        let mark = self.read_u32().map_err(|reason| (start, reason))?;
        if mark & LAST_FRAGMENT == 0 {
            return Err((start, Reason::Mark(mark)));
        }
        let n_bytes = u64::from(mark & !LAST_FRAGMENT);
        if n_bytes > MAX_LEDGER_BYTES as u64 {
            return Err((start, Reason::TooLarge { n_bytes }));
        }
        match (&mut self.input).take(n_bytes).read_to_end(xdr) {
            Ok(n_read) if (n_read as u64) < n_bytes => Err((start, Reason::CutOff)),
            Ok(_) => Ok(Some(start)),
            Err(source) => Err((start, self.io(source))),
        }
    }

    fn read_of_batch(&mut self, xdr: &mut Vec<u8>) -> Result<Option<u64>, (u64, Reason)> {
        while self.left == 0 {
            let start = self.input.offset();
            if self.is_at_end()? {
                return Ok(None);
            }
            let [first, last, count] = self.read_head().map_err(|reason| (start, reason))?;
            if u64::from(last) + 1 != u64::from(first) + u64::from(count) {
                return Err((start, Reason::Batch { start: first, end: last, count }));
            }
            self.left = count;
        }
        let start = self.input.offset();
        match ledger::copy(&mut self.input, xdr) {
            Ok(()) => {
                self.left -= 1;
                Ok(Some(start))
            }
            Err(XdrError::Io(source)) if source.kind() == ErrorKind::UnexpectedEof && !self.input.is_compressed() => {
                Err((start, Reason::CutOff))
            }
            Err(XdrError::Io(source)) => Err((start, self.io(source))),
            Err(XdrError::LengthLimitExceeded) => {
                Err((start, Reason::TooLarge { n_bytes: self.input.offset() - start }))
            }
            Err(error) => Err((start, Reason::Xdr(error))),
        }
    }

    fn read_line(&mut self, xdr: &mut Vec<u8>) -> Result<Option<u64>, (u64, Reason)> {
        loop {
            let start = self.input.offset();
            self.line.clear();
            let read = (&mut self.input).take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut self.line);
            match read {
                Err(source) => return Err((start, self.io(source))),
                Ok(0) => return Ok(None),
                Ok(MAX_LINE_BYTES) if self.line.last() != Some(&b'\n') => return Err((start, Reason::LongLine)),
                Ok(_) => {}
            }
            let text = self.line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            STANDARD.decode_vec(text, xdr).map_err(|error| (start, Reason::Base64(error)))?;
            return Ok(Some(start));
        }
    }

    fn is_at_end(&mut self) -> Result<bool, (u64, Reason)> {
        let offset = self.input.offset();
        match self.input.fill_buf() {
            Ok(bytes) => Ok(bytes.is_empty()),
            Err(source) => Err((offset, self.io(source))),
        }
    }

    fn read_head(&mut self) -> Result<[u32; 3], Reason> {
        Ok([self.read_u32()?, self.read_u32()?, self.read_u32()?])
    }

    fn read_u32(&mut self) -> Result<u32, Reason> {
        let mut bytes = [0; 4];
        match self.input.read_exact(&mut bytes) {
            Ok(()) => Ok(u32::from_be_bytes(bytes)),
            Err(source) if source.kind() == ErrorKind::UnexpectedEof && !self.input.is_compressed() => {
                Err(Reason::CutOff)
            }
            Err(source) => Err(self.io(source)),
        }
    }

    fn io(&self, source: io::Error) -> Reason {
        io_reason(source, self.input.is_compressed())
    }

    fn error(&self, offset: u64, reason: Reason) -> LedgerError {
        LedgerError { file: self.name.clone(), offset, is_compressed: self.input.is_compressed(), reason }
    }
}

fn io_reason(source: io::Error, is_compressed: bool) -> Reason {
    if is_compressed { Reason::Zstd(source) } else { Reason::Io(source) }
}

/// Tells the format by a file's first bytes. Records start with the top bit set; a batch
/// with its first sequence number, which stays below that of text for centuries.
fn detect(start: &[u8]) -> Result<Format, Reason> {
    let start = &start[..start.len().min(16)];
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\r\n\t ".contains(byte);
    match start.first() {
        None => Err(Reason::Empty),
        Some(0x80..) => Ok(Format::Records),
        Some(_) if start.iter().all(is_base64) => Ok(Format::Lines),
        Some(..0x20) => Ok(Format::Batches),
        Some(_) => Err(Reason::Format(start.escape_ascii().to_string())),
    }
}
