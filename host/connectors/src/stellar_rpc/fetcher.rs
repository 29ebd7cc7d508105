//! Fetches page after page, beside whoever takes them.
//!
//! Invariant: one page waits at most; the next one is not asked for before the last was
//! taken. Whatever can go wrong is settled here: what comes out is in order and whole,
//! or a fault that ends the source.

use std::time::Duration;

use flowctl_runtime::Fault;
use flowctl_types::Attributes;
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

use super::calls::{CallError, From, INVALID_PARAMETERS, INVALID_REQUEST, Range, Server};
use super::page::{Ledger, Page, Wanted};
use super::position::{Place, unhex};
use super::start::{Memo, Start};
use super::trouble::Trouble;
use crate::stellar_ledgers::network::passphrase;

/// What a fetcher is to fetch.
pub(super) struct Plan {
    pub(super) start: Start,
    pub(super) memo: Memo,
    pub(super) end: Option<u32>,
    pub(super) limit: u32,
    pub(super) poll_interval: Duration,
    /// As it is configured.
    pub(super) network: Option<String>,
}

/// Fetches ledgers.
pub(super) struct Fetcher {
    node: String,
    server: Server,
    trouble: Trouble,
    plan: Plan,
    wanted: Wanted,
    from: From,
    /// Whether the first ledger is certain: named, remembered, or fetched already.
    is_settled: bool,
    /// Whether it was said that the first ledger is still to come.
    has_told: bool,
}

/// Ledgers in a row; none where all are behind the last that is wanted.
pub(super) struct Fetched {
    pub(super) first: u32,
    pub(super) ledgers: Vec<Ledger>,
    pub(super) attributes: Attributes,
}

impl Fetcher {
    pub(super) fn new(node: String, server: Server, trouble: Trouble, plan: Plan) -> Self {
        let wanted = Wanted { next: 0, previous_hash: None };
        Self { node, server, trouble, plan, wanted, from: From::Ledger(0), is_settled: false, has_told: false }
    }

    /// Fetches from `place` on, or from the start, until all is fetched, something ends
    /// it, or nobody takes it any more.
    pub(super) async fn run(mut self, place: Option<Place>, fetched: Sender<Result<Fetched, Fault>>) {
        if let Err(fault) = self.serve(place, &fetched).await {
            // an error here says that nobody waits for it
            let _ = fetched.send(Err(fault)).await;
        }
    }

    async fn serve(&mut self, place: Option<Place>, fetched: &Sender<Result<Fetched, Fault>>) -> Result<(), Fault> {
        let attributes = self.network().await?;
        match place {
            Some(place) => {
                let Ok(next) = u32::try_from(place.next) else { return Ok(()) };
                self.wanted = Wanted { next, previous_hash: place.previous_hash.as_deref().and_then(unhex) };
                self.is_settled = true;
            }
            None => self.begin().await?,
        }
        self.from = From::Ledger(self.wanted.next);
        let last = self.plan.end.unwrap_or(u32::MAX);
        if self.wanted.next > last {
            let nothing = Fetched { first: self.wanted.next, ledgers: Vec::new(), attributes };
            let _ = fetched.send(Ok(nothing)).await;
            return Ok(());
        }
        loop {
            let Ok(permit) = fetched.reserve().await else { return Ok(()) };
            let page = self.page(last).await?;
            let first = self.wanted.next;
            if !self.is_settled {
                let memo = self.plan.memo.clone();
                let kept = tokio::task::spawn_blocking(move || memo.write(first)).await;
                kept.map_err(|error| Fault::Fatal(format!("the first ledger could not be remembered: {error}")))??;
                self.is_settled = true;
            }
            let (next, is_behind) = self.advance(&page);
            permit.send(Ok(Fetched { first, ledgers: page.ledgers, attributes: attributes.clone() }));
            match next {
                Some(next) if next <= last => {}
                _ => return Ok(()),
            }
            if !is_behind {
                sleep(self.plan.poll_interval).await;
            }
        }
    }

    /// Stands behind the ledgers of `page`. Answers the next one, and whether the server
    /// has it.
    fn advance(&mut self, page: &Page) -> (Option<u32>, bool) {
        let Some(last) = page.ledgers.last() else { return (Some(self.wanted.next), false) };
        let Some(next) = last.sequence.checked_add(1) else { return (None, false) };
        self.wanted = Wanted { next, previous_hash: Some(last.hash) };
        self.from = match &page.cursor {
            Some(cursor) if page.doubt.is_none() => From::Cursor(cursor.clone()),
            _ => From::Ledger(next),
        };
        (Some(next), page.latest.is_none_or(|latest| latest >= next))
    }

    /// Waits for a page with at least one ledger, the wanted one first.
    async fn page(&mut self, last: u32) -> Result<Page, Fault> {
        loop {
            let n_left = (last - self.wanted.next).saturating_add(1);
            let limit = self.plan.limit.min(n_left);
            match self.server.ledgers(&self.from, limit, self.wanted).await {
                Ok(mut page) if !page.ledgers.is_empty() => {
                    self.trouble.is_over();
                    if page.ledgers.len() > limit as usize {
                        // none behind the last that is wanted, and the cursor is behind all of them
                        page.ledgers.truncate(limit as usize);
                        page.cursor = None;
                    }
                    return Ok(page);
                }
                Ok(page) => self.nothing(page).await?,
                Err(CallError::TooLarge) if limit > 1 => {
                    self.plan.limit = limit / 2;
                    tracing::info!(node = %self.node, limit = self.plan.limit, "answers are too large: asks for fewer ledgers");
                }
                Err(CallError::TooLarge) => {
                    let next = self.wanted.next;
                    return Err(self
                        .trouble
                        .fatal(format!("has ledger {next}, which alone is larger than `max_answer`: raise it")));
                }
                Err(CallError::Refused { code, message }) => self.refused(code, message).await?,
                Err(error) => self.trouble.wait_out(error).await?,
            }
        }
    }

    /// Does what follows from a page without a ledger that can be used.
    async fn nothing(&mut self, page: Page) -> Result<(), Fault> {
        let next = self.wanted.next;
        match (page.doubt, page.latest) {
            (Some(doubt), _) => {
                self.from = From::Ledger(next);
                self.trouble.doubt(doubt, self.plan.poll_interval).await
            }
            (None, Some(latest)) if latest >= next => {
                self.from = From::Ledger(next);
                let reason = format!("gave no ledger from {next} on, though it has them up to {latest}");
                self.trouble.wait_out(CallError::passing(reason)).await
            }
            (None, latest) => {
                self.wait_for_head(latest).await;
                Ok(())
            }
        }
    }

    /// Does what follows from a refusal: servers refuse what is behind their last ledger,
    /// and what is before their first.
    async fn refused(&mut self, code: i64, message: String) -> Result<(), Fault> {
        let next = self.wanted.next;
        self.from = From::Ledger(next);
        if let Some(most) = number_behind(&message, "limit must not exceed ").filter(|most| *most < self.plan.limit) {
            self.plan.limit = most.max(1);
            tracing::info!(node = %self.node, limit = self.plan.limit, "the server gives fewer ledgers at once");
            return Ok(());
        }
        let is_our_fault = [INVALID_REQUEST, INVALID_PARAMETERS].contains(&code);
        let range = match range_in(&message) {
            Some(range) => Some(range),
            None => match self.server.range().await {
                Ok(range) => Some(range),
                Err(CallError::Refused { .. }) => None,
                Err(error) => return self.trouble.wait_out(error).await,
            },
        };
        match range {
            Some(Range { latest, .. }) if next > latest => {
                self.wait_for_head(Some(latest)).await;
                Ok(())
            }
            Some(Range { oldest, .. }) if next < oldest && !self.is_settled => {
                // the oldest ledger went while it was asked for
                self.trouble.doubt(format!("ledger {next} is not there: {message}"), self.plan.poll_interval).await?;
                self.begin().await?;
                self.from = From::Ledger(self.wanted.next);
                Ok(())
            }
            Some(Range { oldest, latest }) if next < oldest => Err(self.trouble.fatal(format!(
                "does not have ledger {next}: it has those from {oldest} to {latest}. Ask a server that keeps more \
                 (`url`), read the older ones from files with the source `stellar-ledgers`, or leave them out: \
                 run with `start: oldest` and `--fresh`"
            ))),
            _ if is_our_fault => self.trouble.doubt(format!("error {code}: {message}"), self.plan.poll_interval).await,
            _ => self.trouble.wait_out(CallError::Refused { code, message }).await,
        }
    }

    /// Waits before the next ledger is asked for, which has not closed yet.
    async fn wait_for_head(&mut self, latest: Option<u32>) {
        self.trouble.is_over();
        if !self.has_told && self.wanted.previous_hash.is_none() {
            let latest = latest.unwrap_or_default();
            tracing::info!(node = %self.node, ledger = self.wanted.next, latest, "waits for a ledger that has not closed yet");
            self.has_told = true;
        }
        sleep(self.plan.poll_interval).await;
    }

    /// Finds the first ledger.
    async fn begin(&mut self) -> Result<(), Fault> {
        if let Start::Ledger(sequence) = self.plan.start {
            self.is_settled = true;
            self.wanted.next = sequence;
            return Ok(());
        }
        if let Some(sequence) = self.plan.memo.read()? {
            self.is_settled = true;
            self.wanted.next = sequence;
            return Ok(());
        }
        let range = loop {
            match self.server.range().await {
                Ok(range) => break range,
                Err(error) => self.trouble.wait_out(error).await?,
            }
        };
        self.wanted.next = if self.plan.start == Start::Oldest { range.oldest } else { range.latest };
        Ok(())
    }

    /// Learns the network, or checks that the server is of it.
    async fn network(&mut self) -> Result<Attributes, Fault> {
        let configured = self.plan.network.clone();
        let name = loop {
            match (self.server.network().await, &configured) {
                (Ok(found), Some(name)) if passphrase(name) != found => {
                    return Err(self.trouble.fatal(format!("is of the network `{found}`, and `network` is `{name}`")));
                }
                (Ok(found), None) => break found,
                // the check is a favour: not every server can do it
                (Ok(_) | Err(CallError::Refused { .. } | CallError::Unreadable(_)), Some(name)) => break name.clone(),
                (Err(CallError::Refused { message, .. }), None) => {
                    return Err(self
                        .trouble
                        .fatal(format!("does not say which network it is of ({message}): set `network`")));
                }
                (Err(error), _) => self.trouble.wait_out(error).await?,
            }
        };
        Ok([("network".to_owned(), name)].into())
    }
}

/// The range that servers name when they refuse what is outside of it.
fn range_in(message: &str) -> Option<Range> {
    let oldest = number_behind(message, "oldest ledger: ")?;
    Some(Range { oldest, latest: number_behind(message, "latest ledger: ")? })
}

fn number_behind(message: &str, words: &str) -> Option<u32> {
    let (_, rest) = message.split_once(words)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_may_name_the_range() {
        let message =
            "start ledger (2) must be between the oldest ledger: 10 and the latest ledger: 20 for this rpc instance";
        assert_eq!(range_in(message), Some(Range { oldest: 10, latest: 20 }));
        for other in [
            "",
            "oldest ledger: x, latest ledger: 4",
            "oldest ledger: 4",
            "oldest ledger: 1, latest ledger: 99999999999",
        ] {
            assert_eq!(range_in(other), None);
        }
    }
}
