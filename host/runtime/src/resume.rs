//! How a run goes on from what its store and its sinks hold.
//!
//! Pure: whoever starts a run, or takes it back, asks here and acts on the answer. The
//! table that this follows is in [`crate::checkpoint`].

use std::collections::{BTreeMap, BTreeSet};

use flowctl_types::NodeId;

use crate::Position;
use crate::checkpoint::Checkpoint;

/// How a run goes on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// From the committed epoch; a pending one is discarded.
    Committed,
    /// Every sink holds the pending epoch: it is committed, and the run goes on from it.
    Promote,
    /// Some sinks hold the pending epoch: it is replayed from the committed one.
    Replay(Replay),
}

/// An epoch that is repeated exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replay {
    pub(crate) epoch: u64,
    /// Where each source stops for the barrier.
    pub(crate) targets: BTreeMap<NodeId, Target>,
    /// Sinks that hold the epoch, and skip it.
    pub(crate) holders: BTreeSet<NodeId>,
}

/// Where a source stood at the barrier of an epoch that is replayed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// None where it had read nothing.
    pub(crate) position: Option<Position>,
    /// Whether it had finished for good.
    pub(crate) is_finished: bool,
}

/// A sink holds an epoch that the store does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "it holds epoch {held}, but the state directory knows epochs up to {known}: this state is older than the rows, and going on would write rows twice; put back the state directory that belongs to them, or start over"
)]
pub(crate) struct Ahead {
    pub(crate) sink: NodeId,
    pub(crate) held: u64,
    pub(crate) known: u64,
}

impl Resume {
    /// Decides by what store and sinks hold: `held` has the last epoch of each sink.
    pub(crate) fn decide(
        committed: Option<&Checkpoint>,
        pending: Option<&Checkpoint>,
        held: &BTreeMap<NodeId, Option<u64>>,
        sources: impl Iterator<Item = NodeId>,
    ) -> Result<Self, Ahead> {
        let last = committed.map_or(0, |committed| committed.epoch);
        let pending = pending.filter(|pending| pending.epoch > last);
        let known = pending.map_or(last, |pending| pending.epoch);
        for (sink, held) in held {
            match *held {
                Some(held) if held > last && pending.is_none_or(|pending| pending.epoch != held) => {
                    return Err(Ahead { sink: sink.clone(), held, known });
                }
                _ => {}
            }
        }
        let Some(pending) = pending else { return Ok(Self::Committed) };
        let is_holder = |held: &Option<u64>| *held == Some(pending.epoch);
        let holders: BTreeSet<_> =
            held.iter().filter(|(_, held)| is_holder(held)).map(|(sink, _)| sink.clone()).collect();
        if holders.is_empty() {
            return Ok(Self::Committed);
        }
        if holders.len() == held.len() {
            return Ok(Self::Promote);
        }
        let target = |source: NodeId| {
            let position = pending.positions.get(&source).cloned();
            let is_finished = pending.finished.contains(&source);
            (source, Target { position, is_finished })
        };
        Ok(Self::Replay(Replay { epoch: pending.epoch, targets: sources.map(target).collect(), holders }))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn checkpoint(epoch: u64) -> Option<Checkpoint> {
        let positions = [("s".parse().unwrap(), vec![7])].into();
        (epoch > 0).then(|| Checkpoint { epoch, positions, ..Checkpoint::default() })
    }

    fn check(committed: u64, pending: u64, held: &[Option<u64>], want: &Expect) {
        let held = (0..).zip(held).map(|(n, held)| (format!("out-{n}").parse().unwrap(), *held)).collect();
        let sources = ["s", "silent"].map(|name| name.parse().unwrap());
        let resume =
            Resume::decide(checkpoint(committed).as_ref(), checkpoint(pending).as_ref(), &held, sources.into_iter());
        want.assert_eq(&match resume {
            Ok(Resume::Committed) => "from the committed".to_owned(),
            Ok(Resume::Promote) => "promoted".to_owned(),
            Ok(Resume::Replay(Replay { epoch, targets, holders })) => {
                let until: Vec<_> =
                    targets.iter().map(|(node, target)| format!("{node} to {:?}", target.position)).collect();
                let holders: Vec<_> = holders.iter().map(NodeId::as_str).collect();
                format!("{epoch} again, {}, held by {}", until.join(", "), holders.join(", "))
            }
            Err(ahead) => format!("{}: {ahead}", ahead.sink),
        });
    }

    #[test]
    fn nothing_is_pending() {
        check(0, 0, &[None], &expect!["from the committed"]);
        check(4, 0, &[Some(4), None], &expect!["from the committed"]);
        check(4, 4, &[Some(4)], &expect!["from the committed"]);
        check(4, 3, &[Some(2)], &expect!["from the committed"]);
    }

    #[test]
    fn a_pending_epoch_that_nobody_holds_is_discarded() {
        check(4, 5, &[Some(4), None], &expect!["from the committed"]);
        check(0, 1, &[None], &expect!["from the committed"]);
    }

    #[test]
    fn a_pending_epoch_that_all_hold_is_promoted() {
        check(4, 5, &[Some(5), Some(5)], &expect!["promoted"]);
    }

    #[test]
    fn a_pending_epoch_that_some_hold_is_replayed() {
        check(4, 5, &[Some(5), Some(4)], &expect!["5 again, s to Some([7]), silent to None, held by out-0"]);
        check(0, 1, &[None, Some(1)], &expect!["1 again, s to Some([7]), silent to None, held by out-1"]);
    }

    #[test]
    fn a_sink_that_is_ahead_of_the_state_is_refused() {
        check(
            4,
            0,
            &[Some(4), Some(9)],
            &expect![
                "out-1: it holds epoch 9, but the state directory knows epochs up to 4: this state is older than the rows, and going on would write rows twice; put back the state directory that belongs to them, or start over"
            ],
        );
        check(
            4,
            5,
            &[Some(6)],
            &expect![
                "out-0: it holds epoch 6, but the state directory knows epochs up to 5: this state is older than the rows, and going on would write rows twice; put back the state directory that belongs to them, or start over"
            ],
        );
    }
}
