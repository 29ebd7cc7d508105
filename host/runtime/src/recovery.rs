//! What a run learns from going back, so that it does not go back forever.

use std::collections::HashMap;

use flowctl_types::NodeId;

use crate::error::{NodeError, RunError, Setback};
use crate::node::Suspicion;
use crate::plan::failed;

/// Times that sinks may lose what they had taken before an epoch is committed.
const MAX_LOSSES: u32 = 16;

/// How often the run went back since an epoch was committed, and why.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    pub(crate) suspicions: HashMap<NodeId, Suspicion>,
    n_rewinds: u32,
    n_isolated: usize,
    n_losses: u32,
}

impl Recovery {
    /// Learns from a fault where to look next time, or that there is no point.
    pub(crate) fn learn(&mut self, setback: &Setback, max_rewinds: u32, max_isolated: usize) -> Result<(), RunError> {
        if setback.is_loss() {
            self.n_losses += 1;
            if self.n_losses > MAX_LOSSES {
                return Err(failed(
                    &setback.node,
                    NodeError::Rewinds { n_rewinds: self.n_losses - 1, source: setback.fault.clone() },
                ));
            }
            return Ok(());
        }
        let suspicion = self.suspicions.entry(setback.node.clone()).or_default();
        suspicion.is_stepping = true;
        match &setback.culprit {
            Some(event) => {
                suspicion.culprits.insert(event.clone(), setback.fault.clone());
                self.n_rewinds = 0;
                self.n_isolated += 1;
            }
            None => self.n_rewinds += 1,
        }
        if self.n_rewinds > max_rewinds || self.n_isolated > max_isolated {
            let n_rewinds = self.n_rewinds.max(u32::try_from(self.n_isolated).unwrap_or(u32::MAX)) - 1;
            return Err(failed(&setback.node, NodeError::Rewinds { n_rewinds, source: setback.fault.clone() }));
        }
        Ok(())
    }
}
