//! Reads files of lines, or standard input, into pieces.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flowctl_runtime::{Bounds, Fault, Piece, Position, Refused};
use flowctl_schema::Schema;
use flowctl_topology::Node;
use flowctl_types::{Batch, Columns, Ids, NodeId};
use serde::{Deserialize, Serialize};

use super::line::{self, Line, MAX_LINE_BYTES};
use crate::background::Reader;
use crate::files::{Input, NamedFile};

/// How messages call standard input.
const STDIN_NAME: &str = "stdin";

/// Reads lines of JSON.
pub(super) struct JsonLines {
    node: NodeId,
    /// What the ids of the current file start with.
    prefix: Arc<str>,
    schema: Schema,
    origin: Origin,
    current: Option<Input>,
    /// Behind the last line that was read.
    place: Place,
    line: Vec<u8>,
    /// The event of the last line that was read, which did not fit into the piece.
    carried: Option<Vec<u8>>,
    /// What stopped the last piece before it was full.
    fault: Option<Fault>,
}

enum Origin {
    /// All files in the order of their names, and the index of the one to open next.
    Files { files: Vec<NamedFile>, next: usize },
    /// Standard input, taken or not.
    Stdin { is_taken: bool },
}

/// A place between two lines. Cheap to clone: there is one for each line.
#[derive(Debug, Clone)]
struct Place {
    /// The file, as the configured path found it; empty before the first file.
    file: Arc<str>,
    /// Bytes of it that were read, decompressed.
    offset: u64,
    /// Lines of it that were read.
    line: u64,
    /// Whether it has nothing more.
    is_read: bool,
}

/// A [`Place`] as a position has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<'a> {
    file: Cow<'a, str>,
    offset: u64,
    line: u64,
    is_read: bool,
}

impl Place {
    fn start_of(file: &str) -> Self {
        Self { file: file.into(), offset: 0, line: 0, is_read: false }
    }

    fn encode(&self) -> Position {
        let Self { file, offset, line, is_read } = self;
        let stored = Stored { file: Cow::Borrowed(file), offset: *offset, line: *line, is_read: *is_read };
        serde_json::to_vec(&stored).expect("a place is plain values")
    }

    /// Whether both lie between the same two lines.
    fn is_at(&self, other: &Self) -> bool {
        (&self.file, self.offset, self.line) == (&other.file, other.offset, other.line)
    }

    fn decode(position: &[u8]) -> Result<Self, Fault> {
        let Stored { file, offset, line, is_read } = serde_json::from_slice(position)
            .map_err(|error| Fault::Fatal(format!("the stored position cannot be read: {error}")))?;
        Ok(Self { file: file.into(), offset, line, is_read })
    }
}

impl JsonLines {
    pub(super) fn files(node: &Node, schema: Schema, files: Vec<NamedFile>) -> Self {
        Self::new(node, schema, Origin::Files { files, next: 0 })
    }

    pub(super) fn stdin(node: &Node, schema: Schema) -> Self {
        Self::new(node, schema, Origin::Stdin { is_taken: false })
    }

    fn new(node: &Node, schema: Schema, origin: Origin) -> Self {
        Self {
            node: node.id.clone(),
            prefix: node.id.as_str().into(),
            schema,
            origin,
            current: None,
            place: Place::start_of(""),
            line: Vec::new(),
            carried: None,
            fault: None,
        }
    }

    /// Goes to `place`, in a file that is open or has been read.
    fn go_to(&mut self, place: Place) {
        if let Origin::Files { .. } = self.origin {
            self.prefix = format!("{}/{}", self.node, place.file).into();
        }
        self.place = place;
    }

    /// Opens the next file, where there is one.
    fn advance(&mut self) -> Result<bool, Fault> {
        let (name, input) = match &mut self.origin {
            Origin::Files { files, next } => match files.get(*next) {
                None => return Ok(false),
                Some(file) => {
                    *next += 1;
                    (file.name.as_str(), Input::open(&file.path))
                }
            },
            Origin::Stdin { is_taken: true } => return Ok(false),
            Origin::Stdin { is_taken } => {
                *is_taken = true;
                (STDIN_NAME, Input::stdin())
            }
        };
        self.current = Some(input.map_err(|error| Fault::Fatal(format!("cannot read `{name}`: {error}")))?);
        let place = Place::start_of(name);
        self.go_to(place);
        Ok(true)
    }

    /// Reads the next line that is not empty into `self.line`; none at the end of all.
    fn read_line(&mut self) -> Result<Option<Line>, Fault> {
        loop {
            let Some(input) = &mut self.current else { if self.advance()? { continue } else { return Ok(None) } };
            let read = line::read(input, &mut self.line).map_err(|error| {
                let Place { file, offset, line, .. } = &self.place;
                let damage = if input.is_compressed() { "the zstd data is damaged or cut off: " } else { "" };
                Fault::Fatal(format!("cannot read `{file}` behind line {line}, byte {offset}: {damage}{error}"))
            })?;
            self.place.offset = input.offset();
            if read == Line::End {
                self.place.is_read = true;
                self.current = None;
                continue;
            }
            self.place.line += 1;
            if read == Line::TooLong || !self.line.trim_ascii().is_empty() {
                return Ok(Some(read));
            }
        }
    }

    /// Appends the event of `self.line` to `out`, or says why it is none.
    fn decode(&self, read: Line, out: &mut Vec<u8>) -> Result<(), String> {
        match read {
            Line::TooLong => Err(format!("the line is longer than {MAX_LINE_BYTES} bytes; this is its start")),
            _ => self.schema.json_to_payload(&self.line, out).map_err(|error| error.to_string()),
        }
    }

    fn now(&self) -> u64 {
        match self.origin {
            Origin::Files { .. } => 0,
            Origin::Stdin { .. } => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
            }
        }
    }
}

impl Reader for JsonLines {
    fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        let Some(position) = position else { return Ok(()) };
        let place = Place::decode(position)?;
        if place.file.is_empty() {
            return Ok(());
        }
        let Place { file, offset, line, .. } = &place;
        let Origin::Files { files, next } = &mut self.origin else {
            return Err(Fault::Fatal(format!(
                "standard input was read to line {line} and cannot be read again from there; write it to a file and use the source `file`"
            )));
        };
        *next = files.partition_point(|known| known.name.as_str() <= &**file);
        let found = files[..*next].last().filter(|last| last.name == **file);
        let has_grown = place.is_read && found.is_some_and(|found| has_grown(&found.path, *offset));
        if !place.is_read || has_grown {
            let Some(found) = found else {
                return Err(Fault::Fatal(format!(
                    "`{file}` was read to line {line}, and is not among the files of `path` any more; put it back, or start anew without the stored position"
                )));
            };
            let opened = Input::open(&found.path).and_then(|mut input| input.skip_to(*offset).map(|()| input));
            let input = opened.map_err(|error| {
                Fault::Fatal(format!("cannot read `{file}` on from line {line}, byte {offset}: {error}"))
            })?;
            self.current = Some(input);
        }
        self.go_to(Place { is_read: place.is_read && !has_grown, ..place });
        Ok(())
    }

    fn read(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let until = bounds.until.as_deref().map(Place::decode).transpose()?;
        let (mut columns, mut ids, mut rejected) = (Columns::default(), IdRuns::default(), Vec::new());
        let (mut n_refused_bytes, mut is_finished, mut position) = (0, false, None);
        if let Some(payload) = self.carried.take() {
            columns.push(self.now(), &payload);
            ids.push(&self.prefix, self.place.line);
        }
        while columns.len() + rejected.len() < bounds.max_events
            && columns.n_bytes() + n_refused_bytes < bounds.max_bytes
        {
            if let Some(until) = until.as_ref().filter(|until| until.is_at(&self.place)) {
                position = Some(until.clone());
                break;
            }
            let has_some = !columns.is_empty() || !rejected.is_empty();
            if has_some && self.current.as_ref().is_some_and(Input::must_wait_for_line) {
                break;
            }
            let before = self.place.clone();
            let read = match self.read_line() {
                Ok(Some(read)) => read,
                Ok(None) => {
                    is_finished = true;
                    break;
                }
                Err(fault) if !has_some => return Err(fault),
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            };
            let start = columns.data.len();
            match self.decode(read, &mut columns.data) {
                Ok(()) if has_some && columns.data.len() > bounds.max_bytes => {
                    self.carried = Some(columns.data.split_off(start));
                    position = Some(before);
                    break;
                }
                Ok(()) => {
                    columns.finish_event(self.now());
                    ids.push(&self.prefix, self.place.line);
                }
                Err(reason) => {
                    n_refused_bytes += self.line.len();
                    rejected.push(Refused {
                        id: format!("{}/{}", self.prefix, self.place.line),
                        payload: self.line.clone(),
                        reason: format!("line {} of `{}`: {reason}", self.place.line, self.place.file),
                    });
                }
            }
        }
        let position = position.as_ref().unwrap_or(&self.place).encode();
        let batch = (!columns.is_empty()).then(|| Batch::new(columns, ids.finish()));
        Ok(Piece { batch, rejected, position, is_finished })
    }
}

/// Whether a file that was read to byte `offset`, its end, has more by now. A compressed
/// one does not grow.
fn has_grown(file: &Path, offset: u64) -> bool {
    let length = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    length > offset && Input::open(file).is_ok_and(|input| !input.is_compressed())
}

/// Collects ids `PREFIX/LINE`, with no text made where lines follow one another.
#[derive(Default)]
struct IdRuns {
    runs: Vec<(usize, Ids)>,
    /// The prefix and line that would make the last run longer.
    next: Option<(Arc<str>, u64)>,
}

impl IdRuns {
    fn push(&mut self, prefix: &Arc<str>, line: u64) {
        match (&mut self.next, self.runs.last_mut()) {
            (Some((of_run, next)), Some((n_events, _))) if Arc::ptr_eq(of_run, prefix) && *next == line => {
                *n_events += 1;
                *next += 1;
            }
            _ => {
                self.runs.push((1, Ids::numbered(Arc::clone(prefix), line)));
                self.next = Some((Arc::clone(prefix), line + 1));
            }
        }
    }

    fn finish(mut self) -> Ids {
        match self.runs.len() {
            1 => self.runs.remove(0).1,
            _ => Ids::joined(self.runs),
        }
    }
}
