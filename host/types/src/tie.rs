//! Chains among which an intent does not decide.

use serde::{Deserialize, Serialize};

/// Chains that are equally short, of which an intent leaves it open which one is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tie {
    /// The source that they begin at.
    pub source: String,
    /// The sink that they end at.
    pub sink: String,
    /// The names of their processors; at most ten chains.
    pub chains: Vec<Vec<String>>,
    /// Whether there are more than those listed.
    pub has_more: bool,
}
