//! The instances of a processor, however they share its work.

use super::crew::Crew;
use super::partition::Partitions;
use crate::State;
use crate::error::NodeError;
use crate::worker::{Trouble, Worker};

/// The instances.
pub(crate) enum Hands {
    /// One, called in the node's own task.
    One(Worker),
    /// Several without state.
    Crew(Crew),
    /// Several with state.
    Partitions(Partitions),
}

impl Hands {
    /// The state of all instances.
    pub(super) async fn save(&mut self) -> Result<State, Trouble> {
        match self {
            Self::One(worker) => worker.save().await,
            Self::Crew(_) => Ok(State::new()),
            Self::Partitions(partitions) => {
                let mut state = State::new();
                for worker in partitions.workers() {
                    state.extend(worker.save().await?);
                }
                Ok(state)
            }
        }
    }

    /// Hands over a state that the component's `version` saved.
    pub(crate) async fn restore(&mut self, version: &str, state: &State) -> Result<(), NodeError> {
        let restored = match self {
            Self::One(worker) => worker.restore(version, state).await,
            Self::Crew(_) => Ok(()),
            Self::Partitions(partitions) => {
                let shares = partitions.shares(state);
                let mut restored = Ok(());
                for (worker, share) in partitions.workers().zip(&shares) {
                    restored = worker.restore(version, share).await;
                    if restored.is_err() {
                        break;
                    }
                }
                restored
            }
        };
        restored.map_err(|trouble| match trouble {
            Trouble::Input(source) => NodeError::Call { doing: "restore its state", source },
            Trouble::Node(error) => error,
        })
    }

    /// Each of them, once nothing is under way.
    pub(super) async fn all(&mut self) -> Vec<&mut Worker> {
        match self {
            Self::One(worker) => vec![worker],
            Self::Crew(crew) => crew.all().await.iter_mut().collect(),
            Self::Partitions(partitions) => partitions.workers().collect(),
        }
    }
}
