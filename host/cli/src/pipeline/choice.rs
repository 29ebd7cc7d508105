//! Which of several chains is meant: asked of whoever starts a pipeline.
//!
//! Invariant: the choice is `via` in the pipeline's text, written into its file or for one run
//! only; so it is planned, checked and locked like one that its author wrote.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use flowctl_intent::Document;
use flowctl_registry::arrows;
use flowctl_types::Tie;

use super::supply::Supply;
use super::{Planned, load_text};
use crate::ask::{Answer, Asker, Question};
use crate::paths::{self, Existing};
use crate::status;

/// A pipeline of which nothing is wrong but that chains are equally short. Context of the
/// faults that say so.
#[derive(Debug)]
pub(crate) struct Undecided {
    pub(crate) document: Document,
    pub(crate) tie: Tie,
}

impl fmt::Display for Undecided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "several chains from `{}` to `{}` are equally short", self.tie.source, self.tie.sink)
    }
}

impl std::error::Error for Undecided {}

/// A pipeline that is planned, and its texts.
pub(crate) struct Chosen {
    /// What stands in the file now.
    pub(crate) written: String,
    /// What runs.
    pub(crate) text: String,
    pub(crate) planned: Planned,
}

/// As [`load_text`]; where the chain is open, `asker` has one chosen.
///
/// # Errors
///
/// As [`load_text`]; also where nothing was chosen.
pub(crate) fn load(file: &Path, text: String, supply: &Supply<'_>, asker: Option<Box<dyn Asker>>) -> Result<Chosen> {
    let error = match load_text(file, &text, supply) {
        Ok(planned) => return Ok(Chosen { written: text.clone(), text, planned }),
        Err(error) => error,
    };
    let (Some(undecided), Some(mut asker)) = (error.downcast_ref::<Undecided>(), asker) else { return Err(error) };
    let Some(choice) = choose(file, undecided, &mut *asker)? else { return Err(error) };
    let planned = load_text(file, &choice.text, supply)?;
    Ok(Chosen { written: choice.keep(file, text), text: choice.text, planned })
}

/// A pipeline's text with the chain that was chosen.
pub(crate) struct Choice {
    pub(crate) text: String,
    /// Whether it is to stand in the file.
    is_to_stay: bool,
}

impl Choice {
    /// Writes it into `file`, which held `before`, if it is to stay there: what stands there now. A
    /// file that was changed meanwhile, or cannot be written, stays as it is, and that is said.
    pub(crate) fn keep(&self, file: &Path, before: String) -> String {
        if !self.is_to_stay {
            return before;
        }
        let place = file.display();
        let is_same = super::read(file).is_ok_and(|now| now == before);
        let written = is_same.then(|| paths::write_text(file, &self.text, Existing::Replaced));
        match written {
            Some(Ok(())) => {
                status::say(&format!("Wrote `via` into `{place}`"));
                return self.text.clone();
            }
            Some(Err(error)) => {
                status::warn(&format!("cannot write `{place}`: {error}; the choice is for this run only"));
            }
            None => status::warn(&format!("`{place}` has changed meanwhile; the choice is for this run only")),
        }
        before
    }
}

/// Has a chain chosen. None where none is, or the text cannot have it.
///
/// # Errors
///
/// When the terminal fails.
pub(crate) fn choose(file: &Path, undecided: &Undecided, asker: &mut dyn Asker) -> Result<Option<Choice>> {
    let Undecided { document, tie } = undecided;
    if tie.chains.is_empty() {
        return Ok(None);
    }
    let texts: Option<Vec<String>> = tie.chains.iter().map(|via| document.with_via(via)).collect();
    let Some(texts) = texts else { return Ok(None) };
    let along = |via: &Vec<String>| {
        let names = [&tie.source].into_iter().chain(via).chain([&tie.sink]);
        arrows(&names.collect::<Vec<_>>())
    };
    let chains: Vec<String> = tie.chains.iter().map(along).collect();
    let more = if tie.has_more { "There are more; `via:` in the file names another one." } else { "" };
    let which = Question { text: "Which chain is meant?", help: more };
    let mut start = 0;
    loop {
        let index = match asker.choose(&which, &chains, start)? {
            Answer::Given(index) => index,
            Answer::Back | Answer::Left => return Ok(None),
        };
        let via = tie.chains[index].join(", ");
        let where_to =
            [format!("write `via: [{via}]` into {}", file.display()), "take it for this run only".to_owned()];
        let is_to_stay = match asker.choose(&Question { text: "Is it to stay?", help: "" }, &where_to, 0)? {
            Answer::Given(place) => place == 0,
            Answer::Back => {
                start = index;
                continue;
            }
            Answer::Left => return Ok(None),
        };
        return Ok(Some(Choice { text: texts[index].clone(), is_to_stay }));
    }
}
