//! A source and a sink in memory: the two ends of a pipeline that is measured.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use flowctl_runtime::{Bounds, DeadLetter, DeadLetterSink, Fault, Piece, Rejection, Sink, Source};
use flowctl_schema::Schema;
use flowctl_types::{Batch, Columns, Ids};

/// Makes the batch of a number.
pub(crate) type Feed = Arc<dyn Fn(usize) -> Result<Columns, Fault> + Send + Sync>;

/// Emits batches as long as there are some. Its position is the number of the next.
pub(crate) struct MemorySource {
    feed: Feed,
    n_batches: usize,
    next: usize,
    n_events: u64,
    name: Arc<str>,
}

/// What a sink does with events.
#[derive(Debug, Clone)]
pub(crate) enum Use {
    /// Counts them.
    Count,
    /// Writes them as JSON lines to a buffer, which the next batch overwrites.
    Json(Schema),
}

/// What a sink took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Events.
    pub(crate) n_events: usize,
    /// Bytes of payloads, or of JSON where that was written.
    pub(crate) n_bytes: usize,
    /// The JSON of the last batch.
    pub(crate) last: Vec<u8>,
}

/// Takes events, and says what it took.
pub(crate) struct MemorySink {
    pub(crate) purpose: Use,
    pub(crate) taken: Arc<Mutex<Taken>>,
}

/// Forgets letters, or refuses them: what is measured must not reject any event.
pub(crate) struct Letters {
    pub(crate) are_refused: bool,
}

impl MemorySource {
    pub(crate) fn new(feed: Feed, n_batches: usize) -> Self {
        Self { feed, n_batches, next: 0, n_events: 0, name: "memory".into() }
    }
}

#[async_trait]
impl Source for MemorySource {
    async fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        match position {
            None => Ok(()),
            Some(_) => Err(Fault::Fatal("a measured run starts at the beginning".to_owned())),
        }
    }

    async fn next(&mut self, _bounds: &Bounds) -> Result<Piece, Fault> {
        let columns = (self.feed)(self.next)?;
        let ids = Ids::numbered(Arc::clone(&self.name), self.n_events);
        self.next += 1;
        self.n_events += columns.len() as u64;
        Ok(Piece {
            batch: Some(Batch::new(columns, ids)),
            rejected: Vec::new(),
            position: self.next.to_le_bytes().to_vec(),
            is_finished: self.next >= self.n_batches,
        })
    }
}

impl Taken {
    /// Takes the events of a batch.
    pub(crate) fn take(&mut self, purpose: &Use, columns: &Columns) -> Result<(), Fault> {
        self.n_events += columns.len();
        let Use::Json(schema) = purpose else {
            self.n_bytes += columns.n_bytes();
            return Ok(());
        };
        self.last.clear();
        for payload in columns.payloads() {
            schema.payload_to_json(payload, &mut self.last).map_err(|error| Fault::Fatal(error.to_string()))?;
            self.last.push(b'\n');
        }
        self.n_bytes += self.last.len();
        Ok(())
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn open(&mut self) -> Result<Option<u64>, Fault> {
        Ok(None)
    }

    async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.take(&self.purpose, &batch.columns)?;
        Ok(Vec::new())
    }

    async fn flush(&mut self, _epoch: u64) -> Result<(), Fault> {
        Ok(())
    }
}

#[async_trait]
impl DeadLetterSink for Letters {
    async fn open(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    async fn write(&mut self, letters: &[DeadLetter]) -> Result<(), Fault> {
        if !self.are_refused {
            return Ok(());
        }
        let reasons: Vec<_> = letters.iter().take(1).map(|letter| letter.reason.as_str()).collect();
        Err(Fault::Fatal(format!("an event that is measured was rejected: {}", reasons.join(""))))
    }

    async fn flush(&mut self, _: u64) -> Result<(), Fault> {
        Ok(())
    }
}
