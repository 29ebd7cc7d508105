//! `flowctl dashboard`: the pipelines of a control plane on a terminal, live.
//!
//! Three parts that know little of each other: the `model` is what is known and what is shown; `update` says what
//! a key or news do to it; `view` draws it, and is a function of the model alone. What talks to the control plane
//! is in `feeds`; `app` holds all of it together.
//!
//! Invariants: nothing that is shown waits for the network; what is looked at is asked for, and nothing else; and
//! nothing of a pipeline is changed that was not asked for twice.
//!
//! Leaves out the environment: who calls says whether there are colours, and what variables hold.

mod app;
mod feeds;
#[cfg(test)]
mod fixture;
mod format;
mod message;
mod model;
mod settings;
mod terminal;
mod update;
mod view;

use flowctl_client::Client;

/// Looks up the variables of the environment that a configuration, as JSON, names as `${NAME}`.
pub type Variables = fn(&str) -> Vec<(String, String)>;

/// How the dashboard is shown.
#[derive(Debug, Clone)]
pub struct Options {
    /// The pipeline to open; none for the list.
    pub pipeline: Option<String>,
    /// Whether there are colours.
    pub colours: Colours,
    /// Where values of variables come from.
    pub variables: Variables,
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Colours {
    /// The terminal's own sixteen.
    #[default]
    Some,
    /// None: what they say is said by words and weight, too.
    None,
}

/// Why the dashboard cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DashboardError {
    /// The terminal does not do what it is told.
    #[error("the terminal cannot be used")]
    Terminal(#[source] std::io::Error),
    /// Signals cannot be listened for.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

/// Shows the dashboard of the control plane that `client` is connected to, until it is closed. When the control plane
/// goes away, the last picture stays until it is back. The terminal is given back in every case.
///
/// # Errors
///
/// [`DashboardError::Terminal`] when there is no terminal, or it is not usable.
pub async fn show(client: Client, options: Options) -> Result<(), DashboardError> {
    app::show(client, options).await
}
