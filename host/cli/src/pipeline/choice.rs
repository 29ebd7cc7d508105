//! Which of several chains is meant: asked of whoever starts a pipeline.
//!
//! Invariant: the choice is `via` in the pipeline's text, written into its file or for one run
//! only; so it is planned, checked and locked like one that its author wrote.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Error, Result};
use flowctl_intent::Document;
use flowctl_registry::arrows;
use flowctl_topology::Tie;

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
/// As [`load_text`]; also where nothing was chosen, and where the file cannot be written.
pub(crate) fn load(file: &Path, text: String, supply: &Supply<'_>, asker: Option<Box<dyn Asker>>) -> Result<Chosen> {
    let error = match load_text(file, &text, supply) {
        Ok(planned) => return Ok(Chosen { written: text.clone(), text, planned }),
        Err(error) => error,
    };
    let (Some(undecided), Some(mut asker)) = (error.downcast_ref::<Undecided>(), asker) else { return Err(error) };
    let Some((edited, place)) = choose(file, undecided, &mut *asker)? else { return Err(error) };
    let planned = load_text(file, &edited, supply)?;
    let written = match place {
        Place::Once => text,
        Place::File => {
            let written = paths::write_text(file, &edited, Existing::Replaced);
            written.with_context(|| format!("cannot write `{}`", file.display()))?;
            status::say(&format!("Wrote `via` into `{}`", file.display()));
            edited.clone()
        }
    };
    Ok(Chosen { written, text: edited, planned })
}

/// Where a choice is kept.
enum Place {
    File,
    Once,
}

/// Has a chain chosen: the text with it. None where none is, or the text cannot have it.
fn choose(file: &Path, undecided: &Undecided, asker: &mut dyn Asker) -> Result<Option<(String, Place)>, Error> {
    let Undecided { document, tie } = undecided;
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
        match asker.choose(&Question { text: "Is it to stay?", help: "" }, &where_to, 0)? {
            Answer::Given(0) => return Ok(Some((texts[index].clone(), Place::File))),
            Answer::Given(_) => return Ok(Some((texts[index].clone(), Place::Once))),
            Answer::Back => start = index,
            Answer::Left => return Ok(None),
        }
    }
}
