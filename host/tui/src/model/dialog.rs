//! What stands in front of everything, until it is answered.

use flowctl_client::admin::{ChangeTopologyResponse, Plugin};

use super::input::Input;
use crate::message::{Order, Trouble};

/// A question, or something to read.
#[derive(Debug)]
pub(crate) enum Dialog {
    /// What the keys do.
    Help { reading: Reading },
    /// Whether a run is to stop.
    Stop { pipeline: String, run: String },
    /// A change of the topology, from its first word to its plan.
    Change(Box<ChangeDialog>),
    /// What did not work.
    Failed { title: String, trouble: Trouble, reading: Reading },
}

/// How far something is read that may be longer than the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Lines above what is shown.
    pub(crate) n_above: usize,
    /// Lines that are shown.
    pub(crate) n_shown: usize,
    /// Lines below them.
    pub(crate) n_below: usize,
    /// Lines, from the first on, that were shown by now.
    pub(crate) n_read: usize,
    /// Whether its end was shown.
    pub(crate) is_done: bool,
}

/// A change that is being made up.
#[derive(Debug)]
pub(crate) struct ChangeDialog {
    pub(crate) pipeline: String,
    pub(crate) kind: Kind,
    pub(crate) stage: Stage,
    /// The component: its name, a reference, or a file.
    pub(crate) component: Input,
    /// Its configuration, as `KEY=VALUE`s.
    pub(crate) config: Input,
    pub(crate) field: Field,
    /// What can be a node, those that fit first; none before it is known.
    pub(crate) choices: Option<Vec<Choice>>,
    /// The choice that is marked, among those that are listed.
    pub(crate) marked: Option<usize>,
    /// What is wrong with what was typed.
    pub(crate) complaint: Option<String>,
}

/// What is to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Another component at a node, which has this role.
    Replace { node: String, role: String },
    /// A processor behind a node.
    Add { after: String },
    /// A node less.
    Remove { node: String },
    /// What the pipeline was before.
    Rollback,
}

/// How far it is.
#[derive(Debug)]
pub(crate) enum Stage {
    /// What it is to be is being typed.
    Asking,
    /// It is being planned.
    Planning(Order),
    /// It could be made.
    Planned { order: Order, plan: Box<ChangeTopologyResponse>, reading: Reading },
    /// It cannot be made.
    Refused { trouble: Trouble, reading: Reading },
}

/// The line that is being typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Component,
    Config,
}

/// A component that could be chosen.
#[derive(Debug)]
pub(crate) struct Choice {
    pub(crate) plugin: Plugin,
    /// Whether its types are those of the place.
    pub(crate) fits: bool,
}

impl Dialog {
    /// How far it is read; none where it is short.
    pub(crate) fn reading(&mut self) -> Option<&mut Reading> {
        match self {
            Self::Help { reading } | Self::Failed { reading, .. } => Some(reading),
            Self::Stop { .. } => None,
            Self::Change(dialog) => match &mut dialog.stage {
                Stage::Planned { reading, .. } | Stage::Refused { reading, .. } => Some(reading),
                Stage::Asking | Stage::Planning(_) => None,
            },
        }
    }
}

impl Reading {
    /// Goes `n_lines` down, as far as there are any; past none that was not shown yet.
    pub(crate) fn down(&mut self, n_lines: usize) {
        let n_lines = n_lines.min(self.n_below).min(self.n_read.saturating_sub(self.n_above));
        (self.n_above, self.n_below) = (self.n_above + n_lines, self.n_below - n_lines);
    }

    /// Goes `n_lines` up, as far as there are any.
    pub(crate) fn up(&mut self, n_lines: usize) {
        let n_lines = n_lines.min(self.n_above);
        (self.n_above, self.n_below) = (self.n_above - n_lines, self.n_below + n_lines);
    }
}

impl ChangeDialog {
    /// A change of this kind; one that has to be told a component asks for it.
    pub(crate) fn new(pipeline: &str, kind: Kind) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            kind,
            stage: Stage::Asking,
            component: Input::default(),
            config: Input::default(),
            field: Field::Component,
            choices: None,
            marked: None,
            complaint: None,
        }
    }

    /// What it is called.
    pub(crate) fn title(&self) -> String {
        match &self.kind {
            Kind::Replace { node, .. } => format!("Replace `{node}`"),
            Kind::Add { after } => format!("Add a processor behind `{after}`"),
            Kind::Remove { node } => format!("Remove `{node}`"),
            Kind::Rollback => "Go back to the revision before".to_owned(),
        }
    }

    /// Whether a component is asked for: elsewhere there is nothing to type.
    pub(crate) fn has_component(&self) -> bool {
        matches!(self.kind, Kind::Replace { .. } | Kind::Add { .. })
    }

    /// Whether a configuration is asked for: a new node has none yet.
    pub(crate) fn has_config(&self) -> bool {
        matches!(self.kind, Kind::Add { .. })
    }

    /// Choices that have what was typed in them.
    pub(crate) fn listed(&self) -> Vec<&Choice> {
        let typed = self.component.text().to_lowercase();
        let is_listed = |choice: &&Choice| choice.plugin.name.to_lowercase().contains(&typed);
        self.choices.iter().flatten().filter(is_listed).collect()
    }

    /// The component that is meant: the marked one, else what was typed.
    pub(crate) fn meant(&self) -> String {
        let marked = self.marked.and_then(|index| self.listed().get(index).map(|choice| choice.plugin.name.clone()));
        marked.unwrap_or_else(|| self.component.text().trim().to_owned())
    }
}
