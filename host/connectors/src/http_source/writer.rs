//! Commits what requests bring, those that wait at once together.
//!
//! The writing connection has a thread of its own. While one transaction is made durable
//! others gather, and the next takes them all: so the cost of a commit is shared by as
//! many requests as there are. Invariants: an answer comes after the commit; a failure
//! is answered and gone on from, since disks become less full; what waits is bounded by
//! the queue and by the bytes that its requests hold.

use std::io;

use flowctl_types::NodeId;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tracing::{info, warn};

use super::spool::{Intake, Offer, Receipt, Refusal, SpoolError};

/// Jobs that may wait.
const QUEUE_LEN: usize = 256;
/// Requests of one transaction.
const MAX_OFFERS: usize = 256;
/// Bytes of one transaction, the last request aside.
const MAX_OFFERED_BYTES: usize = 16 << 20;

/// What the writer is told.
pub(super) enum Job {
    /// To take the events of a request.
    Take(Request),
    /// That events up to this number are not needed any more.
    Forget(i64),
}

/// A request that waits for its commit.
pub(super) struct Request {
    pub(super) offer: Offer,
    pub(super) answer: oneshot::Sender<Result<Receipt, Refusal>>,
    /// The bytes that it may use.
    pub(super) room: OwnedSemaphorePermit,
}

/// How far the spool is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Number of the last event.
    pub(super) newest: i64,
    /// Why nothing will come any more.
    pub(super) damage: Option<String>,
}

/// Starts the thread. It ends, and lets go of the spool, when nobody can tell it anything
/// any more and what it was told is done.
pub(super) fn start(intake: Intake, node: NodeId) -> io::Result<(mpsc::Sender<Job>, watch::Receiver<Progress>)> {
    let (jobs, inbox) = mpsc::channel(QUEUE_LEN);
    let (progress, watcher) = watch::channel(Progress { newest: intake.newest(), damage: None });
    let writer = Writer { intake, node, inbox, progress, is_failing: false };
    std::thread::Builder::new().name("flowctl-spool".to_owned()).spawn(move || writer.run())?;
    Ok((jobs, watcher))
}

struct Writer {
    intake: Intake,
    node: NodeId,
    inbox: mpsc::Receiver<Job>,
    progress: watch::Sender<Progress>,
    /// Whether the last call of the spool failed.
    is_failing: bool,
}

impl Writer {
    fn run(mut self) {
        let mut requests = Vec::new();
        loop {
            if self.intake.has_to_forget() && !self.is_failing {
                self.gather(&mut requests);
            } else {
                let Some(job) = self.inbox.blocking_recv() else { return };
                self.sort(job, &mut requests);
                self.gather(&mut requests);
            }
            if !requests.is_empty() {
                self.commit(&mut requests);
            }
            if self.intake.has_to_forget() {
                let forgotten = self.intake.forget_some();
                self.note(forgotten.as_ref().err());
            }
        }
    }

    /// Takes what waits already.
    fn gather(&mut self, requests: &mut Vec<Request>) {
        let mut n_bytes: usize = requests.iter().map(|request| request.offer.events.n_bytes()).sum();
        while requests.len() < MAX_OFFERS
            && n_bytes < MAX_OFFERED_BYTES
            && let Ok(job) = self.inbox.try_recv()
        {
            n_bytes += if let Job::Take(request) = &job { request.offer.events.n_bytes() } else { 0 };
            self.sort(job, requests);
        }
    }

    fn sort(&mut self, job: Job, requests: &mut Vec<Request>) {
        match job {
            Job::Take(request) => requests.push(request),
            Job::Forget(number) => self.intake.forget(number),
        }
    }

    fn commit(&mut self, requests: &mut Vec<Request>) {
        let offers: Vec<&Offer> = requests.iter().map(|request| &request.offer).collect();
        let taken = self.intake.take(&offers);
        self.note(taken.as_ref().err());
        let verdicts = taken.unwrap_or_else(|error| {
            let refusal =
                if matches!(error, SpoolError::DiskFull { .. }) { Refusal::DiskFull } else { Refusal::Failed };
            vec![Err(refusal); requests.len()]
        });
        let newest = self.intake.newest();
        self.progress.send_if_modified(|progress| std::mem::replace(&mut progress.newest, newest) != newest);
        for (request, verdict) in requests.drain(..).zip(verdicts) {
            let Request { answer, room, .. } = request;
            // a client that is gone has no need of it
            let _ = answer.send(verdict);
            drop(room);
        }
    }

    /// Says when it begins to fail, and when that is over.
    fn note(&mut self, error: Option<&SpoolError>) {
        match error {
            None if self.is_failing => info!(node = %self.node, "the spool takes events again"),
            Some(error) if !self.is_failing => warn!(node = %self.node, %error, "the spool cannot be written to"),
            None | Some(_) => {}
        }
        self.is_failing = error.is_some();
        if let Some(error @ SpoolError::Damaged { .. }) = error {
            self.progress.send_modify(|progress| progress.damage = Some(error.to_string()));
        }
    }
}
