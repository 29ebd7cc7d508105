//! The command line that is typed, as far as it can be read.
//!
//! Invariant: reading it never fails for what is missing or half written; it is never run.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, CommandFactory as _};

use crate::args::{Arguments, of_environment};
use crate::plane::ControlPlaneArgs;
use crate::state::StateArgs;

/// What was given so far, of the innermost command.
#[derive(Clone)]
pub(super) struct Line(ArgMatches);

impl Line {
    /// The words behind `--`; none where there are none.
    pub(super) fn of(arguments: &[OsString]) -> Option<Self> {
        let words = arguments.iter().skip_while(|word| *word != "--").skip(1);
        let mut command = Arguments::command().ignore_errors(true);
        let mut given = command.try_get_matches_from_mut(words).ok()?;
        while let Some((_, inner)) = given.remove_subcommand() {
            given = inner;
        }
        Some(Self(given))
    }

    /// The value of an argument, as it was typed.
    pub(super) fn value(&self, id: &str) -> Option<String> {
        let mut values = self.0.try_get_raw(id).ok()??;
        values.next()?.to_str().map(str::to_owned).filter(|value| !value.is_empty())
    }

    /// The control plane that is meant.
    pub(super) fn plane(&self) -> ControlPlaneArgs {
        ControlPlaneArgs::at(self.value("control_plane"))
    }

    /// Where state lies.
    pub(super) fn state(&self) -> StateArgs {
        StateArgs::at(self.value("state_dir").map(PathBuf::from))
    }

    /// The folders of plugins.
    pub(super) fn plugins(&self) -> Vec<PathBuf> {
        match self.0.try_get_raw("plugins") {
            // of other commands than these, that of the environment
            Ok(Some(folders)) => folders.map(PathBuf::from).collect(),
            _ => of_environment(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_half_written_is_read_as_far_as_it_goes() {
        let check = |words: &str, id: &str, wanted: Option<&str>| {
            let words = ["flowctl", "--"].into_iter().chain(words.split('|')).map(OsString::from);
            assert_eq!(Line::of(&words.collect::<Vec<_>>()).and_then(|line| line.value(id)).as_deref(), wanted, "{id}");
        };
        check("flowctl|tap|transfers|", "pipeline", Some("transfers"));
        check("flowctl|tap|", "pipeline", None);
        check("flowctl|topology|remove|--pipeline|a|x", "pipeline", Some("a"));
        check("flowctl|topology|remove|--pipeline", "pipeline", None);
        check("flowctl|pipelines|info|--control-plane|h:1|--no-such|", "control_plane", Some("h:1"));
        check("flowctl|pipelines|logs|transfers|--node|", "run", Some("transfers"));
        check("flowctl|validate|p.yaml", "pipeline", None);
        check("flowctl", "pipeline", None);
    }
}
