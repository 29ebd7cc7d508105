//! What is known and what is shown: plain state, without terminal or network.
//!
//! Invariant: everything that is kept has a limit, however long the dashboard is open.

pub(crate) mod detail;
pub(crate) mod dialog;
pub(crate) mod graph;
pub(crate) mod input;
pub(crate) mod latency;
pub(crate) mod logs;
pub(crate) mod rates;
pub(crate) mod track;

use std::collections::BTreeSet;
use std::time::Duration;

use flowctl_client::{admin, is_over, status_word};

use self::detail::{Detail, Panel};
use self::dialog::{Dialog, Reading};
use self::input::Input;
use self::rates::Rate;
use crate::message::{Interest, Trouble};

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Model {
    /// Since the dashboard was opened.
    pub(crate) now: Duration,
    /// The control plane's address, as it was written.
    pub(crate) address: String,
    pub(crate) link: Link,
    pub(crate) host: Option<admin::Host>,
    /// By name.
    pub(crate) pipelines: Vec<Pipeline>,
    /// The chosen pipeline.
    pub(crate) chosen: Option<String>,
    /// Runs of the chosen pipeline, the latest first.
    pub(crate) runs: Vec<admin::Run>,
    pub(crate) filter: Filter,
    /// The pipeline that is open; none where the list is.
    pub(crate) detail: Option<Detail>,
    /// In front of everything.
    pub(crate) dialog: Option<Dialog>,
    /// What failed while another dialog was in front; it comes after that.
    pub(crate) failed: Option<Dialog>,
    /// The title of the change that is being made.
    pub(crate) making: Option<String>,
    pub(crate) notice: Option<Notice>,
    /// Whether the dashboard is to close.
    pub(crate) is_done: bool,
}

/// The connection to the control plane.
#[derive(Debug, Default)]
pub(crate) enum Link {
    /// Nothing has come yet.
    #[default]
    New,
    /// It answers.
    Up,
    /// It does not answer, or refuses.
    Down { since: Duration, n_tries: u32, again_at: Duration, trouble: Trouble },
}

/// A pipeline in the list.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    pub(crate) wire: admin::Pipeline,
    /// Events that its run read.
    pub(crate) events: Rate,
}

/// What is shown of many.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    pub(crate) input: Input,
    /// Whether it is being typed.
    pub(crate) is_open: bool,
}

/// Something to know, for a few seconds.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) text: String,
    pub(crate) until: Duration,
}

impl Model {
    /// Time for which a notice stands.
    const NOTICE: Duration = Duration::from_secs(8);

    /// Nothing is known yet; `pipeline` is open where it is named.
    pub(crate) fn new(address: &str, pipeline: Option<String>) -> Self {
        let detail = pipeline.clone().map(Detail::new);
        Self { address: address.to_owned(), chosen: pipeline, detail, ..Self::default() }
    }

    /// What has to be looked at, for what is shown.
    pub(crate) fn interests(&self) -> BTreeSet<Interest> {
        let mut interests = BTreeSet::from([Interest::Overview]);
        let Some(detail) = &self.detail else {
            interests.extend(self.chosen.clone().map(Interest::Runs));
            return interests;
        };
        interests.extend(detail.run_id.clone().map(Interest::Run));
        let pipeline = || detail.pipeline.clone();
        interests.extend(match detail.panel {
            Panel::Node => None,
            Panel::Logs => {
                detail.run_id.clone().map(|run| Interest::Events { run, node: detail.logs.node(&detail.chosen) })
            }
            Panel::Tap if detail.tap.is_frozen || !detail.is_going() => None,
            Panel::Tap => detail.chosen.clone().map(|node| Interest::Tap { pipeline: pipeline(), node }),
            Panel::History => Some(Interest::Revisions(pipeline())),
            Panel::Runs => Some(Interest::Runs(pipeline())),
        });
        interests
    }

    /// Pipelines that pass the filter, which looks at names and statuses.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &Pipeline> {
        let wanted = self.filter.words();
        self.pipelines.iter().filter(move |pipeline| {
            passes(&wanted, &[&pipeline.wire.name, pipeline.status_word(), &pipeline.error().to_lowercase()])
        })
    }

    /// The pipeline of this name.
    pub(crate) fn pipeline(&self, name: &str) -> Option<&Pipeline> {
        self.pipelines.iter().find(|pipeline| pipeline.wire.name == name)
    }

    /// Takes in what of the dialog in front was shown.
    pub(crate) fn note_shown(&mut self, shown: Option<Reading>) {
        if let (Some(reading), Some(shown)) = (self.dialog.as_mut().and_then(Dialog::reading), shown) {
            *reading = shown;
        }
    }

    /// Tells something.
    pub(crate) fn tell(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice { text: text.into(), until: self.now + Self::NOTICE });
    }

    /// Tells what failed, in front of everything, but after what is in front already.
    pub(crate) fn fail(&mut self, title: impl Into<String>, trouble: Trouble) {
        self.failed = Some(Dialog::Failed { title: title.into(), trouble, reading: Reading::default() });
    }

    /// Whether something on the screen changes by itself as time passes.
    pub(crate) fn is_timed(&self) -> bool {
        self.notice.is_some() || matches!(self.link, Link::Down { .. })
    }
}

impl Pipeline {
    /// Its last run's status.
    pub(crate) fn status(&self) -> admin::RunStatus {
        self.wire.last_run.as_ref().map_or(admin::RunStatus::Unspecified, admin::Run::status)
    }

    /// The status in a word.
    pub(crate) fn status_word(&self) -> &'static str {
        if self.wire.last_run.is_some() { status_word(self.status()) } else { "never run" }
    }

    /// Why its last run failed; empty where it did not.
    pub(crate) fn error(&self) -> &str {
        self.wire.last_run.as_ref().map_or("", |run| &run.error)
    }

    /// Whether a run of it goes on.
    pub(crate) fn is_going(&self) -> bool {
        self.wire.last_run.is_some() && !is_over(self.status())
    }

    /// How fast its run reads; none where none goes on.
    pub(crate) fn per_second(&self) -> Option<f64> {
        self.events.per_second().filter(|_| self.is_going())
    }
}

impl Filter {
    /// What has to be there, in lower case; each of these words.
    pub(crate) fn words(&self) -> Vec<String> {
        self.input.text().to_lowercase().split_whitespace().map(ToOwned::to_owned).collect()
    }
}

/// Whether each word is in one of these texts, which are in lower case.
pub(crate) fn passes(words: &[String], texts: &[&str]) -> bool {
    words.iter().all(|word| texts.iter().any(|text| text.contains(word.as_str())))
}
