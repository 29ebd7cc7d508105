//! The layouts of files of ledgers.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::DataError;

/// How the ledgers of a file are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One ledger a line, in base64.
    B64Lines,
    /// zstd around ledgers with record marks (RFC 5531).
    ZstdFramed,
    /// zstd around one `LedgerCloseMetaBatch`.
    ZstdBatch,
}

/// Reads the ledgers of a file.
pub(crate) fn ledgers(path: &Path, format: Format) -> Result<Vec<Vec<u8>>, DataError> {
    let content = |item, what: String| DataError::Content { path: path.to_owned(), item, what };
    match format {
        Format::B64Lines => text(path)?
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .enumerate()
            .map(|(item, line)| STANDARD.decode(line).map_err(|error| content(item, error.to_string())))
            .collect(),
        Format::ZstdFramed => framed(&unpacked(path)?).map_err(|(item, what)| content(item, what.to_owned())),
        Format::ZstdBatch => batch(&unpacked(path)?).map_err(|what| content(0, what.to_owned())),
    }
}

/// Reads a text file, compressed with zstd where its name says so.
pub(crate) fn text(path: &Path) -> Result<String, DataError> {
    let bytes = if path.extension().is_some_and(|extension| extension == "zst") { unpacked(path)? } else { raw(path)? };
    String::from_utf8(bytes).map_err(|error| DataError::Content {
        path: path.to_owned(),
        item: 0,
        what: error.to_string(),
    })
}

fn raw(path: &Path) -> Result<Vec<u8>, DataError> {
    fs::read(path).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

fn unpacked(path: &Path) -> Result<Vec<u8>, DataError> {
    let packed = raw(path)?;
    zstd::decode_all(packed.as_slice()).map_err(|source| DataError::Read { path: path.to_owned(), source })
}

fn framed(mut rest: &[u8]) -> Result<Vec<Vec<u8>>, (usize, &'static str)> {
    let mut ledgers = Vec::new();
    while !rest.is_empty() {
        let (mark, tail) = rest.split_first_chunk::<4>().ok_or((ledgers.len(), "record mark cut short"))?;
        let length = (u32::from_be_bytes(*mark) & 0x7fff_ffff) as usize;
        let (record, tail) = tail.split_at_checked(length).ok_or((ledgers.len(), "record cut short"))?;
        ledgers.push(record.to_vec());
        rest = tail;
    }
    Ok(ledgers)
}

/// The only batches here hold one ledger, which so needs no decoding to be cut out.
fn batch(bytes: &[u8]) -> Result<Vec<Vec<u8>>, &'static str> {
    let (head, ledger) = bytes.split_first_chunk::<12>().ok_or("batch cut short")?;
    let [.., a, b, c, d] = *head;
    match u32::from_be_bytes([a, b, c, d]) {
        1 => Ok(vec![ledger.to_vec()]),
        _ => Err("a batch of other than one ledger"),
    }
}
