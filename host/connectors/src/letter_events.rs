//! Dead letters as events of the type `flowctl.dead.letter.v1`, for any sink.
//!
//! Invariant: letters that the sink lost with a connection are written again before
//! anything else, so a letter is durable when its epoch is flushed. What is kept for
//! that is bounded by [`MAX_KEPT_BYTES`].

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use flowctl_runtime::{DeadLetter, DeadLetterSink, Fault, LetterPayload, Sink};
use flowctl_schema::Schema;
use flowctl_types::{Batch, Columns, Ids};
use serde::Serialize;

/// Bytes of letters that can be written again; beyond these a lost connection ends the
/// run, which then starts again at the last barrier.
const MAX_KEPT_BYTES: usize = 64 << 20;

/// Hands letters to a sink.
pub(crate) struct LetterEvents {
    sink: Box<dyn Sink>,
    schema: Schema,
    /// Since the last flush.
    kept: Vec<Arc<Batch>>,
    n_kept_bytes: usize,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    /// What was written since the last flush is gone.
    Lost,
}

/// A letter as the event type has it.
#[derive(Serialize)]
struct Event<'a> {
    time: u64,
    node: &'a str,
    plugin: Option<String>,
    event_id: &'a str,
    event_type: Option<&'a str>,
    position: Option<&'a str>,
    reason: &'a str,
    attempts: u32,
    log_tail: &'a str,
    payload: Option<&'a str>,
    payload_text: Option<&'a str>,
    payload_base64: Option<&'a str>,
}

impl LetterEvents {
    /// Hands letters to `sink` as events of `schema`, which is that of dead letters.
    pub(crate) fn new(sink: Box<dyn Sink>, schema: Schema) -> Self {
        Self { sink, schema, kept: Vec::new(), n_kept_bytes: 0, state: State::Whole }
    }

    fn batch(&self, letters: &[DeadLetter]) -> Result<Batch, Fault> {
        let (mut columns, mut names, mut json) = (Columns::default(), Vec::new(), Vec::new());
        for letter in letters {
            let event = Event::of(letter);
            json.clear();
            serde_json::to_writer(&mut json, &event).expect("a letter has text keys and plain values");
            self.schema
                .json_to_payload(&json, &mut columns.data)
                .map_err(|error| Fault::Fatal(format!("a dead letter is no event of its type: {error}")))?;
            columns.finish_event(event.time);
            names.push(format!("{}/{}", letter.node, letter.event_id));
        }
        Ok(Batch::new(columns, Ids::named(names)))
    }

    async fn hand_over(&mut self, batch: &Arc<Batch>) -> Result<(), Fault> {
        let rejected = self.sink.write(batch).await?;
        match rejected.first() {
            None => Ok(()),
            Some(rejection) => Err(Fault::Fatal(format!(
                "the dead-letter sink refuses the letter of `{}`: {}",
                batch.ids.get(rejection.index as usize),
                rejection.reason
            ))),
        }
    }

    /// Writes what the sink lost once more.
    async fn mend(&mut self) -> Result<(), Fault> {
        if self.n_kept_bytes > MAX_KEPT_BYTES {
            return Err(Fault::Fatal(
                "the dead-letter sink lost more letters than are kept to be written again".to_owned(),
            ));
        }
        self.sink.rewind().await?;
        for batch in self.kept.clone() {
            self.hand_over(&batch).await?;
        }
        self.state = State::Whole;
        Ok(())
    }

    /// Makes sure that the sink has what was written since the last flush.
    async fn settle(&mut self) -> Result<(), Fault> {
        if self.state == State::Lost {
            self.mend().await.map_err(again)?;
        }
        Ok(())
    }
}

/// A connection that breaks once more is tried once more.
fn again(fault: Fault) -> Fault {
    match fault {
        Fault::Lost(reason) => Fault::Retry(reason),
        fault => fault,
    }
}

#[async_trait]
impl DeadLetterSink for LetterEvents {
    async fn open(&mut self) -> Result<(), Fault> {
        self.sink.open().await.map(drop)
    }

    async fn write(&mut self, letters: &[DeadLetter]) -> Result<(), Fault> {
        self.settle().await?;
        let batch = Arc::new(self.batch(letters)?);
        match self.hand_over(&batch).await {
            Ok(()) => {
                self.n_kept_bytes += batch.columns.n_bytes();
                if self.n_kept_bytes > MAX_KEPT_BYTES {
                    self.kept = Vec::new();
                } else {
                    self.kept.push(batch);
                }
                Ok(())
            }
            Err(fault) => {
                if matches!(fault, Fault::Lost(_)) {
                    self.state = State::Lost;
                }
                Err(again(fault))
            }
        }
    }

    async fn flush(&mut self, epoch: u64) -> Result<(), Fault> {
        self.settle().await?;
        match self.sink.flush(epoch).await {
            Ok(()) => {
                self.kept.clear();
                self.n_kept_bytes = 0;
                Ok(())
            }
            Err(fault) => {
                if matches!(fault, Fault::Lost(_)) {
                    self.state = State::Lost;
                }
                Err(again(fault))
            }
        }
    }
}

impl<'a> Event<'a> {
    fn of(letter: &'a DeadLetter) -> Self {
        let since_epoch = letter.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut event = Self {
            time: u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX),
            node: letter.node.as_str(),
            plugin: letter.plugin.map(|digest| digest.to_string()),
            event_id: &letter.event_id,
            event_type: letter.event_type.as_ref().map(|event_type| event_type.as_str()),
            position: Some(&letter.position),
            reason: &letter.reason,
            attempts: letter.attempts,
            log_tail: &letter.log_tail,
            payload: None,
            payload_text: None,
            payload_base64: None,
        };
        match &letter.payload {
            LetterPayload::Json(json) => event.payload = Some(json.get()),
            LetterPayload::Text(text) => event.payload_text = Some(text),
            LetterPayload::Base64(text) => event.payload_base64 = Some(text),
        }
        event
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::SystemTime;

    use flowctl_runtime::Rejection;

    use super::*;

    const WIT: &str = include_str!("../../../wit/events/flowctl-dead-letter/event.wit");

    /// A sink that commits at a flush, and loses its connection at these calls.
    #[derive(Default)]
    struct Shaky {
        open: Vec<String>,
        committed: Arc<Mutex<Vec<String>>>,
        n_calls: u32,
        breaks: Vec<u32>,
    }

    impl Shaky {
        fn call(&mut self) -> Result<(), Fault> {
            self.n_calls += 1;
            if self.breaks.contains(&self.n_calls) {
                return Err(Fault::Lost("the connection broke".to_owned()));
            }
            Ok(())
        }
    }

    #[async_trait]
    impl Sink for Shaky {
        async fn open(&mut self) -> Result<Option<u64>, Fault> {
            Ok(None)
        }

        async fn write(&mut self, batch: &Arc<Batch>) -> Result<Vec<Rejection>, Fault> {
            self.call()?;
            self.open.extend((0..batch.len()).map(|index| batch.ids.get(index)));
            Ok(Vec::new())
        }

        async fn flush(&mut self, _: u64) -> Result<(), Fault> {
            self.call()?;
            self.committed.lock().unwrap().append(&mut self.open);
            Ok(())
        }

        async fn rewind(&mut self) -> Result<Option<u64>, Fault> {
            self.call()?;
            self.open.clear();
            Ok(None)
        }
    }

    fn letter(n: u32) -> DeadLetter {
        DeadLetter {
            time: SystemTime::now(),
            node: "filter".parse().unwrap(),
            plugin: None,
            event_id: format!("orders/{n}"),
            position: format!("orders/{n}"),
            event_type: None,
            reason: "no \"currency\"".to_owned(),
            attempts: 1,
            log_tail: String::new(),
            payload: LetterPayload::new(None, b"no json"),
        }
    }

    #[tokio::test]
    async fn letters_are_there_once_however_often_the_connection_breaks() {
        for breaks in 1..14 {
            let committed = Arc::default();
            let sink =
                Shaky { committed: Arc::clone(&committed), breaks: vec![breaks, breaks + 2], ..Shaky::default() };
            let mut letters = LetterEvents::new(Box::new(sink), Schema::from_wit(WIT).unwrap().remove(0));
            for epoch in 1..4 {
                for n in 0..3 {
                    let letter = [letter(10 * u32::try_from(epoch).unwrap() + n)];
                    while let Err(fault) = letters.write(&letter).await {
                        assert!(matches!(fault, Fault::Retry(_)), "{fault}");
                    }
                }
                while let Err(fault) = letters.flush(epoch).await {
                    assert!(matches!(fault, Fault::Retry(_)), "{fault}");
                }
            }
            let want: Vec<_> = [10, 11, 12, 20, 21, 22, 30, 31, 32].map(|n| format!("filter/orders/{n}")).into();
            assert_eq!(*committed.lock().unwrap(), want, "breaks at call {breaks}");
        }
    }
}
