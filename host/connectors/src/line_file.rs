//! A file of lines.
//!
//! Invariant: the file holds whole lines. What is left of a write that failed is cut
//! off again, and so is what a crash left when the file is opened.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use flowctl_runtime::Fault;
use tracing::warn;

/// Bytes that are read at once, from the end, to find the last whole line.
const BLOCK_BYTES: u64 = 64 << 10;

/// What becomes of that which a file holds already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// It stays.
    Append,
    /// It goes.
    Empty,
}

/// A file that holds whole lines.
pub(crate) struct LineFile {
    file: File,
    /// Lengths, where the file has one: pipes and devices have none.
    lengths: Option<Lengths>,
    /// Whether what it held goes with the first write.
    is_to_empty: bool,
}

#[derive(Clone, Copy)]
struct Lengths {
    /// Up to the last whole line.
    written: u64,
    /// Up to the last line that is durable.
    synced: u64,
}

impl LineFile {
    pub(crate) fn open(path: &Path, start: Start) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        // to look for the last line it must be readable; a pipe or device need not be
        let file = options.clone().read(true).open(path).or_else(|_| options.open(path))?;
        if !file.metadata()?.is_file() {
            return Ok(Self { file, lengths: None, is_to_empty: false });
        }
        let mut file = file;
        let found = file.metadata()?.len();
        let length = match start {
            Start::Empty => 0,
            Start::Append => end_of_last_line(&mut file)?,
        };
        if length < found && start == Start::Append {
            warn!(file = %path.display(), bytes = found - length, "cut off a line that was not written to its end");
            file.set_len(length)?;
        }
        let lengths = Some(Lengths { written: length, synced: length });
        Ok(Self { file, lengths, is_to_empty: start == Start::Empty })
    }

    /// Drops what the file held when it was opened to be emptied. Not before something is
    /// written: a start that fails must not cost a file.
    fn empty(&mut self) -> io::Result<()> {
        if self.is_to_empty {
            self.file.set_len(0)?;
            self.is_to_empty = false;
        }
        Ok(())
    }

    /// Appends whole lines in one write.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.empty()?;
        let Some(lengths) = &mut self.lengths else { return self.file.write_all(lines) };
        let found = self.file.metadata()?.len();
        if found != lengths.written {
            // somebody else wrote, or emptied it: what is theirs is not ours to cut off
            *lengths = Lengths { written: found, synced: found };
        }
        match self.file.write_all(lines) {
            Ok(()) => {
                lengths.written += lines.len() as u64;
                Ok(())
            }
            Err(error) => match self.file.set_len(lengths.written) {
                Ok(()) => Err(error),
                // half a line is left: another try would make it worse, so say what cannot be retried
                Err(_) => Err(io::Error::other(error)),
            },
        }
    }

    /// Makes what was appended durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.empty()?;
        let Some(lengths) = &mut self.lengths else { return self.file.flush() };
        if lengths.synced < lengths.written {
            self.file.sync_data()?;
            lengths.synced = lengths.written;
        }
        Ok(())
    }

    /// Cuts off what was appended since the last [`sync`](Self::sync), unless somebody
    /// else wrote behind it.
    pub(crate) fn rewind(&mut self) -> io::Result<()> {
        let Some(lengths) = &mut self.lengths else { return Ok(()) };
        if lengths.synced < lengths.written && self.file.metadata()?.len() == lengths.written {
            self.file.set_len(lengths.synced)?;
            lengths.written = lengths.synced;
        }
        Ok(())
    }
}

/// What an error of writing `path` means: a full disk may become less full.
pub(crate) fn fault(what: &str, path: &Path, error: &io::Error) -> Fault {
    let message = format!("cannot write {what}`{}`: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::Retry(message),
        _ => Fault::Fatal(message),
    }
}

/// Where the last whole line of `file` ends.
fn end_of_last_line(file: &mut File) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES);
        file.seek(SeekFrom::Start(start))?;
        block.clear();
        Read::by_ref(file).take(end - start).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, start: Start, after: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, before).unwrap();
        LineFile::open(&path, start).unwrap().append(b"new\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), after);
    }

    #[test]
    fn half_a_line_of_a_crash_is_cut_off() {
        check("one\ntwo\n", Start::Append, "one\ntwo\nnew\n");
        check("one\ntw", Start::Append, "one\nnew\n");
        check("tw", Start::Append, "new\n");
        check("", Start::Append, "new\n");
        check("one\ntw", Start::Empty, "new\n");
        let long = "x".repeat(3 * BLOCK_BYTES as usize);
        check(&format!("one\n{long}"), Start::Append, "one\nnew\n");
    }

    #[test]
    fn a_file_is_emptied_when_it_is_written_to_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        std::fs::write(&path, "old\n").unwrap();
        let mut file = LineFile::open(&path, Start::Empty).unwrap();
        file.rewind().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old\n");
        file.sync().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn rewind_keeps_what_was_synced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let mut file = LineFile::open(&path, Start::Append).unwrap();
        file.append(b"one\n").unwrap();
        file.sync().unwrap();
        file.append(b"two\n").unwrap();
        file.rewind().unwrap();
        file.append(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nthree\n");
    }

    #[test]
    fn what_others_wrote_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        let [mut ours, mut theirs] = [(); 2].map(|()| LineFile::open(&path, Start::Append).unwrap());
        ours.append(b"one\n").unwrap();
        theirs.append(b"two\n").unwrap();
        ours.rewind().unwrap();
        ours.append(b"three\n").unwrap();
        ours.rewind().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }
}
