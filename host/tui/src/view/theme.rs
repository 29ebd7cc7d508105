//! How things look: the terminal's own colours, or none.
//!
//! Invariant: what a colour says is said by a word, a sign or by weight too.

use flowctl_client::admin::RunStatus;
use ratatui::style::{Color, Modifier, Style};

use crate::Colours;

/// How things look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    colours: Colours,
}

impl Theme {
    /// With colours, or without.
    pub(crate) const fn new(colours: Colours) -> Self {
        Self { colours }
    }

    fn colour(self, colour: Color) -> Style {
        match self.colours {
            Colours::Some => Style::new().fg(colour),
            Colours::None => Style::new(),
        }
    }

    /// What is read second.
    pub(super) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// What is read first.
    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is chosen.
    pub(super) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What leads the eye: keys, titles, the line under the cursor.
    pub(super) fn accent(self) -> Style {
        self.colour(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// Charts.
    pub(super) fn chart(self) -> Style {
        self.colour(Color::Cyan)
    }

    /// All is well.
    pub(super) fn good(self) -> Style {
        self.colour(Color::Green)
    }

    /// Look at this.
    pub(super) fn warn(self) -> Style {
        self.colour(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// Something is broken.
    pub(super) fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// A node's frame, by its role.
    pub(super) fn role(self, role: &str) -> Style {
        match role {
            "source" => self.colour(Color::Green),
            "sink" => self.colour(Color::Magenta),
            _ => self.colour(Color::LightBlue),
        }
    }

    /// A run's status.
    pub(super) fn status(self, status: RunStatus) -> Style {
        match status {
            RunStatus::Running => self.good(),
            RunStatus::Starting | RunStatus::Stopping => self.warn(),
            RunStatus::Failed => self.bad(),
            RunStatus::Completed | RunStatus::Stopped | RunStatus::Unspecified => self.dim(),
        }
    }

    /// A line of a log.
    pub(super) fn level(self, level: &str) -> Style {
        match level {
            "error" => self.bad(),
            "warn" => self.warn(),
            _ => self.dim(),
        }
    }

    /// A share of something that is bad when it is full.
    pub(super) fn fill(self, fill: f64) -> Style {
        match fill {
            f if f >= 0.9 => self.bad(),
            f if f >= 0.6 => self.warn(),
            _ => self.good(),
        }
    }
}

/// A sign for a run's status.
pub(super) const fn sign(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Running => "●",
        RunStatus::Starting | RunStatus::Stopping => "◌",
        RunStatus::Failed => "✗",
        RunStatus::Completed => "✓",
        RunStatus::Stopped => "■",
        RunStatus::Unspecified => "○",
    }
}
