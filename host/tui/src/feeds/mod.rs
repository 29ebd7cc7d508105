//! What talks to the control plane: a task for each thing that is looked at, and one for each thing that is done.
//!
//! Invariant: nothing here waits without a limit, and nobody waits for what is here: it sends messages to a bounded
//! queue.

mod doing;
mod looking;

use std::collections::{BTreeMap, BTreeSet};

use flowctl_client::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::message::{Effect, Interest, Message};
use crate::{Options, Variables};

/// Tasks that look at things, and the way to the control plane. Dropped, its tasks end.
pub(crate) struct Feeds {
    client: Client,
    variables: Variables,
    to: mpsc::Sender<Message>,
    back: watch::Sender<()>,
    looking: BTreeMap<Interest, JoinHandle<()>>,
}

impl Feeds {
    /// Nothing is looked at yet; messages go to `to`.
    pub(crate) fn new(client: Client, options: &Options, to: mpsc::Sender<Message>) -> Self {
        let back = watch::Sender::new(());
        Self { client, variables: options.variables, to, back, looking: BTreeMap::new() }
    }

    /// Looks at these things, and no longer at others.
    pub(crate) fn follow(&mut self, interests: &BTreeSet<Interest>) {
        self.looking.retain(|interest, task| {
            let is_wanted = interests.contains(interest);
            if !is_wanted {
                task.abort();
            }
            is_wanted
        });
        for interest in interests {
            if !self.looking.contains_key(interest) {
                let (client, to, back) = (self.client.clone(), self.to.clone(), self.back.clone());
                let look = looking::Look::new(client, interest.clone(), to, back);
                self.looking.insert(interest.clone(), tokio::spawn(look.go_on()));
            }
        }
    }

    /// Does something, and sends what it came to.
    pub(crate) fn act(&self, effect: Effect) {
        let (client, variables, to) = (self.client.clone(), self.variables, self.to.clone());
        tokio::spawn(async move {
            if let Some(answer) = doing::act(&client, variables, effect).await {
                // who asked may have closed the dashboard
                let _ = to.send(Message::Answered(answer)).await;
            }
        });
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        self.looking.values().for_each(JoinHandle::abort);
    }
}
