//! Asks whoever sits at the terminal.
//!
//! Invariant: nobody is asked where nobody can answer: [`asker`] gives out none unless
//! standard input and stderr are a terminal. Questions stand on stderr, stdout is data. An
//! answer is checked before it is taken, and whoever is asked can always go back, or leave.

mod keys;
mod lines;

use anyhow::Result;

use self::keys::Keys;
use self::lines::Lines;
use crate::terminal;

/// Puts questions to somebody.
pub(crate) trait Asker {
    /// Has one of `options` chosen, by its index; `start` is what Enter takes.
    ///
    /// # Errors
    ///
    /// When the terminal fails.
    fn choose(&mut self, question: &Question<'_>, options: &[String], start: usize) -> Result<Answer<usize>>;

    /// Has a text written that `check` finds nothing wrong with; Enter alone takes `default`.
    ///
    /// # Errors
    ///
    /// When the terminal fails.
    fn write(&mut self, question: &Question<'_>, default: &str, check: Check<'_>) -> Result<Answer<String>>;
}

/// What is asked.
pub(crate) struct Question<'a> {
    /// The question itself, on one line.
    pub(crate) text: &'a str,
    /// What helps to answer it; empty where nothing does.
    pub(crate) help: &'a str,
}

/// Says what is wrong with a text, if anything is.
pub(crate) type Check<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer<T> {
    /// This was answered.
    Given(T),
    /// The question before is to be asked again.
    Back,
    /// Nothing more is to be asked, and nothing is to happen.
    Left,
}

/// Whoever sits at the terminal; none where there is none.
pub(crate) fn asker() -> Option<Box<dyn Asker>> {
    match terminal::is_interactive() {
        true if terminal::is_dumb() => Some(Box::new(Lines::new(std::io::stdin().lock()))),
        true => Some(Box::new(Keys::new())),
        false => None,
    }
}
