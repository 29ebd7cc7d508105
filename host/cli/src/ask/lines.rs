//! Questions on a terminal that can only print lines, such as that of an editor: options have
//! numbers, answers are lines.

use std::io::BufRead;

use anyhow::{Context as _, Result};

use super::{Answer, Asker, Check, Question};
use crate::status;

/// What goes back to the question before.
const BACK: &str = "back";

/// Asks by lines.
pub(super) struct Lines<R> {
    input: R,
}

impl<R: BufRead> Lines<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input }
    }

    /// The next line without its end; none where there is no more.
    fn line(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        let n_bytes = self.input.read_line(&mut line).context("cannot read from the terminal")?;
        Ok((n_bytes > 0).then(|| line.trim().to_owned()))
    }
}

impl<R: BufRead> Asker for Lines<R> {
    fn choose(&mut self, question: &Question<'_>, options: &[String], start: usize) -> Result<Answer<usize>> {
        say(question);
        for (index, option) in options.iter().enumerate() {
            status::say(&format!("  {:>2}  {option}", index + 1));
        }
        status::say(&format!("Type a number, nothing for {}, or `{BACK}`:", start + 1));
        loop {
            match self.line()?.as_deref() {
                None => return Ok(Answer::Left),
                Some("") => return Ok(Answer::Given(start)),
                Some(BACK) => return Ok(Answer::Back),
                Some(text) => match text.parse::<usize>() {
                    Ok(number) if (1..=options.len()).contains(&number) => return Ok(Answer::Given(number - 1)),
                    _ => status::say(&format!("`{text}` is no number from 1 to {}:", options.len())),
                },
            }
        }
    }

    fn write(&mut self, question: &Question<'_>, default: &str, check: Check<'_>) -> Result<Answer<String>> {
        say(question);
        let nothing = if default.is_empty() { String::new() } else { format!(", nothing for `{default}`") };
        status::say(&format!("Type it{nothing}, or `{BACK}`:"));
        loop {
            let text = match self.line()? {
                None => return Ok(Answer::Left),
                Some(text) if text == BACK => return Ok(Answer::Back),
                Some(text) if text.is_empty() => default.to_owned(),
                Some(text) => text,
            };
            match check(&text) {
                Ok(()) => return Ok(Answer::Given(text)),
                Err(wrong) => status::say(&format!("{wrong}:")),
            }
        }
    }
}

fn say(question: &Question<'_>) {
    status::say(&format!("\n{}", question.text));
    question.help.lines().for_each(|line| status::say(&format!("  {line}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: Question<'static> = Question { text: "Which?", help: "" };

    fn choose(input: &str) -> Answer<usize> {
        Lines::new(input.as_bytes()).choose(&QUESTION, &["a".to_owned(), "b".to_owned()], 1).unwrap()
    }

    fn write(input: &str) -> Answer<String> {
        let check = |text: &str| if text == "bad" { Err("it is bad".to_owned()) } else { Ok(()) };
        Lines::new(input.as_bytes()).write(&QUESTION, "default", &check).unwrap()
    }

    #[test]
    fn numbers_choose_and_an_empty_line_takes_the_default() {
        assert_eq!(choose("1\n"), Answer::Given(0));
        assert_eq!(choose("\n"), Answer::Given(1));
        assert_eq!(choose("3\n0\nx\n2\n"), Answer::Given(1));
        assert_eq!(write(" text \n"), Answer::Given("text".to_owned()));
        assert_eq!(write("\n"), Answer::Given("default".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_asked_again() {
        assert_eq!(write("bad\ngood\n"), Answer::Given("good".to_owned()));
    }

    #[test]
    fn back_goes_back_and_the_end_of_input_leaves() {
        assert_eq!((choose("back\n"), choose("")), (Answer::Back, Answer::Left));
        assert_eq!((write("back\n"), write("bad\n")), (Answer::Back, Answer::Left));
    }
}
