//! Questions on a terminal that can move its cursor: arrow keys choose, letters filter.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use inquire::list_option::ListOption;
use inquire::ui::{Attributes, Color, IndexPrefix, RenderConfig, StyleSheet, Styled};
use inquire::validator::{ErrorMessage, Validation};
use inquire::{CustomUserError, InquireError, Select, Text};

use super::{Answer, Asker, Check, Question, terminal};

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
        let shown: Vec<String> = options.iter().map(|option| cut(option, terminal::width() - 3)).collect();
        let help = help(question, HELP_CHOOSE);
        // the answer stands below the question as its first words: what follows them explains it
        let short = |option: ListOption<&String>| first_words(option.value).to_owned();
        let select = Select::new(question.text, shown)
            .with_render_config(self.look)
            .with_starting_cursor(start)
            .with_page_size(PAGE)
            .with_formatter(&short)
            .with_help_message(&help);
        answer(select.raw_prompt().map(|option| option.index))
    }

    fn write(&mut self, question: &Question<'_>, default: &str, check: Check<'_>) -> Result<Answer<String>> {
        let help = help(question, HELP_WRITE);
        let validator = |text: &str| -> Result<Validation, CustomUserError> {
            Ok(match check(text.trim()) {
                Ok(()) => Validation::Valid,
                Err(wrong) => Validation::Invalid(ErrorMessage::Custom(wrong)),
            })
        };
        let mut text =
            Text::new(question.text).with_render_config(self.look).with_help_message(&help).with_validator(validator);
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

/// What helps to answer, wrapped, and then the keys.
fn help(question: &Question<'_>, keys: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in question.help.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < terminal::width().min(100) - 3 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.push(keys.to_owned());
    lines.join("\n")
}

/// A text of at most `width` characters.
fn cut(text: &str, width: usize) -> String {
    match text.char_indices().nth(width.saturating_sub(1)) {
        Some((at, _)) if text.chars().count() > width => format!("{}…", &text[..at]),
        _ => text.to_owned(),
    }
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
    fn a_text_that_is_too_long_is_cut() {
        assert_eq!(cut("längst", 6), "längst");
        assert_eq!(cut("längste", 6), "längs…");
    }

    #[test]
    fn without_colour_nothing_has_a_style() {
        let text = format!("{:?}", look(false));
        assert!(!text.contains("fg: Some") && !text.contains("BOLD"), "{text}");
        assert!(format!("{:?}", look(true)).contains("fg: Some"));
    }
}
