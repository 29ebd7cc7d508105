//! Questions on a terminal that can move its cursor: arrow keys choose, letters filter.
//!
//! Invariant: much of what is asked was written by somebody else, and none of it acts on the
//! terminal.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use inquire::list_option::ListOption;
use inquire::ui::{Attributes, Color, IndexPrefix, RenderConfig, StyleSheet, Styled};
use inquire::validator::{ErrorMessage, Validation};
use inquire::{CustomUserError, InquireError, Select, Text};

use super::{Answer, Asker, Check, Question};
use crate::{output, terminal};

/// Most options that are shown at once, so that a question fits into 24 lines.
const PAGE: usize = 14;

const HELP_CHOOSE: &str = "↑↓ choose, letters filter, enter takes it, esc goes back, ctrl-c leaves";
const HELP_WRITE: &str = "enter takes it, esc goes back, ctrl-c leaves";

/// Asks by keys.
pub(super) struct Keys {
    look: RenderConfig<'static>,
}

impl Keys {
    pub(super) fn new() -> Self {
        Self { look: look(terminal::has_colour()) }
    }
}

impl Asker for Keys {
    fn choose(&mut self, question: &Question<'_>, options: &[String], start: usize) -> Result<Answer<usize>> {
        // an option that does not fit on its line is cut: lines that wrap are hard to choose from
        let shown: Vec<String> = options.iter().map(|option| output::cut(&on_a_line(option), columns() - 3)).collect();
        let (text, help) = (on_a_line(question.text), help(question, HELP_CHOOSE));
        // the answer stands below the question as its first words: what follows them explains it
        let short = |option: ListOption<&String>| first_words(option.value).to_owned();
        let select = Select::new(&text, shown)
            .with_render_config(self.look)
            .with_starting_cursor(start)
            .with_page_size(PAGE)
            .with_formatter(&short)
            .with_help_message(&help);
        answer(select.raw_prompt().map(|option| option.index))
    }

    fn write(&mut self, question: &Question<'_>, default: &str, check: Check<'_>) -> Result<Answer<String>> {
        let (question, help) = (on_a_line(question.text), help(question, HELP_WRITE));
        let validator = |text: &str| -> Result<Validation, CustomUserError> {
            Ok(match check(text.trim()) {
                Ok(()) => Validation::Valid,
                Err(wrong) => Validation::Invalid(ErrorMessage::Custom(output::plain(&wrong).into_owned())),
            })
        };
        let mut text =
            Text::new(&question).with_render_config(self.look).with_help_message(&help).with_validator(validator);
        if !default.is_empty() {
            text = text.with_default(default);
        }
        answer(text.prompt().map(|text| text.trim().to_owned()))
    }
}

fn answer<T>(answered: Result<T, InquireError>) -> Result<Answer<T>> {
    match answered {
        Ok(given) => Ok(Answer::Given(given)),
        Err(InquireError::OperationCanceled) => Ok(Answer::Back),
        Err(InquireError::OperationInterrupted) => Ok(Answer::Left),
        // the terminal went away while it was asked
        Err(_) if !std::io::stdin().is_terminal() => Ok(Answer::Left),
        Err(error) => Err(error).context("cannot ask on this terminal"),
    }
}

/// Columns to ask in: questions stand on stderr.
fn columns() -> usize {
    terminal::width(std::io::stderr()).max(20)
}

/// A text that neither acts on the terminal nor ends its line.
fn on_a_line(text: &str) -> String {
    output::plain(text).replace(['\n', '\t'], " ")
}

/// What helps to answer, wrapped, and then the keys.
fn help(question: &Question<'_>, keys: &str) -> String {
    let text = output::one_line(question.help);
    let mut lines = output::wrapped(&output::plain(&text), columns().min(100) - 3);
    lines.retain(|line| !line.is_empty());
    lines.push(keys.to_owned());
    lines.join("\n")
}

/// What an option is called: what stands before two spaces.
fn first_words(option: &str) -> &str {
    option.split("  ").next().unwrap_or(option)
}

/// How questions look. Nothing is said by colour alone.
fn look(has_colour: bool) -> RenderConfig<'static> {
    let mut look = RenderConfig::empty()
        .with_prompt_prefix(Styled::new("?"))
        .with_answered_prompt_prefix(Styled::new("✓"))
        .with_highlighted_option_prefix(Styled::new("▸"))
        .with_scroll_up_prefix(Styled::new("↑"))
        .with_scroll_down_prefix(Styled::new("↓"))
        .with_canceled_prompt_indicator(Styled::new("(back)"))
        .with_option_index_prefix(IndexPrefix::None);
    look.error_message.prefix = Styled::new("✗");
    if !has_colour {
        return look;
    }
    let coloured = |colour| StyleSheet::new().with_fg(colour);
    look.prompt_prefix = look.prompt_prefix.with_fg(Color::LightCyan);
    look.answered_prompt_prefix = look.answered_prompt_prefix.with_fg(Color::LightGreen);
    look.highlighted_option_prefix = look.highlighted_option_prefix.with_fg(Color::LightCyan);
    look.prompt = StyleSheet::new().with_attr(Attributes::BOLD);
    look.selected_option = Some(coloured(Color::LightCyan));
    look.answer = coloured(Color::LightCyan);
    look.help_message = coloured(Color::DarkGrey);
    look.canceled_prompt_indicator = look.canceled_prompt_indicator.with_fg(Color::DarkGrey);
    look.error_message.prefix = look.error_message.prefix.with_fg(Color::LightRed);
    look.error_message.message = coloured(Color::LightRed);
    look
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_does_not_act_on_the_terminal() {
        assert_eq!(on_a_line("a\u{1b}[2J  b\nc\td\u{202e}"), "a\u{fffd}[2J  b c d\u{fffd}");
        let question = Question { text: "Which?", help: "clear\u{1b}[2J\r\nthe\u{7} screen" };
        assert_eq!(help(&question, HELP_WRITE), format!("clear\u{fffd}[2J the\u{fffd} screen\n{HELP_WRITE}"));
        assert_eq!(help(&Question { text: "Which?", help: "" }, HELP_WRITE), HELP_WRITE);
    }

    #[test]
    fn without_colour_nothing_has_a_style() {
        let text = format!("{:?}", look(false));
        assert!(!text.contains("fg: Some") && !text.contains("BOLD"), "{text}");
        assert!(format!("{:?}", look(true)).contains("fg: Some"));
    }
}
