//! What comes in, and what is asked for: the two ends of an update.

use std::time::Duration;

use crossterm::event::KeyEvent;
use flowctl_client::{ClientError, admin};

use admin::change_topology_request::Change;

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Message {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The screen has another size.
    Resized,
    /// Time passed.
    Tick,
    /// What was looked at looks like this now.
    Seen(Interest, News),
    /// What is looked at could not be looked at; it will be again.
    Lost(Interest, Trouble),
    /// What an effect came to.
    Answered(Answer),
}

/// Something that is looked at for as long as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Interest {
    /// The control plane and all pipelines.
    Overview,
    /// A run with its nodes, by its id.
    Run(String),
    /// The runs of a pipeline.
    Runs(String),
    /// The revisions of a pipeline.
    Revisions(String),
    /// What happens in a run, at one node or at all of them.
    Events { run: String, node: Option<String> },
    /// Events that leave a node.
    Tap { pipeline: String, node: String },
}

/// How what is looked at looks now.
#[derive(Debug)]
pub(crate) enum News {
    Overview(admin::Host, Vec<admin::Pipeline>),
    Run(Box<admin::Run>),
    Runs(Vec<admin::Run>),
    Revisions(Vec<admin::Revision>),
    /// What is new.
    Events(Vec<admin::RunEvent>),
    /// A sample of what is new.
    Tapped(Vec<admin::TappedEvent>),
}

/// Something that is to be done once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// Draw everything anew.
    Redraw,
    /// Tell a run to stop.
    Stop { run: String },
    /// List what can be a node.
    Components,
    /// Plan a change.
    Plan(Order),
    /// Make a change, if its plan is still this one; the title says what it is to people.
    Make { title: String, order: Order, plan_hash: String },
}

/// A change of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    pub(crate) pipeline: String,
    pub(crate) change: Change,
}

/// What an effect came to.
#[derive(Debug)]
pub(crate) enum Answer {
    Stopped(Result<admin::Run, Trouble>),
    Components(Result<Vec<admin::Plugin>, Trouble>),
    /// With what was to be planned.
    Planned(Box<Order>, Result<admin::ChangeTopologyResponse, Trouble>),
    /// With the title of what was to be made.
    Made(String, Result<admin::ChangeTopologyResponse, Trouble>),
}

/// Why something was not to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What the control plane said, or what came instead.
    pub(crate) text: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// Whether nobody answered.
    pub(crate) is_away: bool,
    /// When it is tried again, from now; none where it is not.
    pub(crate) again_in: Option<Duration>,
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        let text = match &error {
            ClientError::Refused { faults, .. } if !faults.is_empty() => faults.join("\n"),
            error => error.to_string(),
        };
        Self { text, is_away: error.is_unavailable(), hint: error.hint(), again_in: None }
    }
}
