//! Hands fetched ledgers over, in pieces of the size that is asked for.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use flowctl_runtime::{Bounds, Fault, Piece, Position, Source};
use flowctl_topology::Node;
use flowctl_types::{Attributes, Batch, Columns, Ids};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinHandle;

use super::fetcher::{Fetched, Fetcher};
use super::page::Ledger;
use super::position::hex;
use super::{NAME, Place};

/// The source. Its fetcher runs beside it from `open` until it is dropped.
pub(super) struct StellarRpc {
    /// Its node, which its ids start with.
    node: Arc<str>,
    /// Until it is opened.
    fetcher: Option<Fetcher>,
    running: Option<Running>,
    /// Fetched, and still to be handed over.
    ledgers: VecDeque<Ledger>,
    attributes: Attributes,
    /// Behind the last ledger that was handed over; none until the first is known.
    place: Option<Place>,
    end: Option<u32>,
}

struct Running {
    fetched: Receiver<Result<Fetched, Fault>>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl StellarRpc {
    pub(super) fn new(node: &Node, fetcher: Fetcher, end: Option<u32>) -> Self {
        Self {
            node: node.id.as_str().into(),
            fetcher: Some(fetcher),
            running: None,
            ledgers: VecDeque::new(),
            attributes: [].into(),
            place: None,
            end,
        }
    }

    fn is_at_end(&self) -> bool {
        let next = self.place.as_ref().map_or(0, |place| place.next);
        next > self.end.map_or(u64::from(u32::MAX), u64::from)
    }

    /// What there is of a piece without waiting.
    fn piece(&mut self, bounds: &Bounds, until: Option<&(Place, Position)>) -> Result<Option<Piece>, Fault> {
        let Some(mut place) = self.place.clone() else { return Ok(None) };
        let last = until.map_or(u64::MAX, |(until, _)| until.next);
        if place.next > last {
            let Place { next, .. } = place;
            return Err(Fault::Fatal(format!(
                "`{NAME}` cannot repeat the ledgers up to {last}: it stands at {next} already"
            )));
        }
        let (mut columns, first) = (Columns::default(), place.next);
        while columns.len() < bounds.max_events && place.next < last {
            let fits =
                |ledger: &mut Ledger| columns.is_empty() || columns.n_bytes() + ledger.xdr.len() <= bounds.max_bytes;
            let Some(ledger) = self.ledgers.pop_front_if(fits) else { break };
            columns.push(ledger.closed_at, &ledger.xdr);
            place = Place { next: u64::from(ledger.sequence) + 1, previous_hash: Some(hex(&ledger.hash)) };
        }
        let reached = until.filter(|(until, _)| until.next == place.next);
        self.place = Some(place.clone());
        let is_finished = reached.is_none() && self.is_at_end();
        if columns.is_empty() && reached.is_none() && !is_finished {
            return Ok(None);
        }
        let batch = (!columns.is_empty()).then(|| {
            let mut batch = Batch::new(columns, Ids::numbered(Arc::clone(&self.node), first));
            batch.attributes = self.attributes.clone();
            batch
        });
        let position = reached.map_or_else(|| place.encode(), |(_, position)| position.clone());
        Ok(Some(Piece { batch, rejected: Vec::new(), position, is_finished }))
    }
}

#[async_trait]
impl Source for StellarRpc {
    async fn open(&mut self, position: Option<&[u8]>) -> Result<(), Fault> {
        let place = position.map(Place::decode).transpose()?;
        let Some(fetcher) = self.fetcher.take() else {
            return Err(Fault::Fatal(format!("`{NAME}` was opened twice")));
        };
        let (sender, fetched) = channel(1);
        let task = tokio::spawn(fetcher.run(place.clone(), sender));
        self.running = Some(Running { fetched, task });
        self.place = place;
        Ok(())
    }

    async fn next(&mut self, bounds: &Bounds) -> Result<Piece, Fault> {
        let decode = |position: &Position| Ok((Place::decode(position)?, position.clone()));
        let until = bounds.until.as_ref().map(decode).transpose()?;
        loop {
            if let Some(piece) = self.piece(bounds, until.as_ref())? {
                return Ok(piece);
            }
            let Some(running) = &mut self.running else {
                return Err(Fault::Fatal(format!("`{NAME}` was not opened before it was read")));
            };
            match running.fetched.recv().await {
                Some(Ok(Fetched { first, ledgers, attributes })) => {
                    self.place.get_or_insert(Place { next: first.into(), previous_hash: None });
                    self.attributes = attributes;
                    self.ledgers = ledgers.into();
                }
                Some(Err(fault)) => return Err(fault),
                None => return Err(Fault::Fatal(format!("`{NAME}` has stopped reading"))),
            }
        }
    }
}
