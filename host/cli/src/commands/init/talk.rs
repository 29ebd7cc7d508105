//! A conversation in which one can go back.
//!
//! Whoever asks does it in straight order, and again from the start after each step back:
//! what was answered is not asked again, and leads to the same next question. Invariant:
//! where nobody can be asked a question has its default, or is an error that names the flag
//! which answers it.

use anyhow::Error;

use crate::ask::{Answer, Asker, Check, Question};
use crate::report::{self, Hinted};
use crate::status;

/// Questions and what was answered.
pub(super) struct Talk {
    asker: Option<Box<dyn Asker>>,
    given: Vec<Given>,
    /// How many of `given` were taken since the start.
    n_taken: usize,
    /// What was answered before it was gone back on.
    before: Option<Given>,
}

struct Given {
    key: String,
    value: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Stop {
    /// It is to be asked from the start.
    Again,
    /// Whoever was asked left.
    Left,
    /// There cannot be one.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A question.
pub(super) struct Ask<'a> {
    /// Tells questions apart.
    pub(super) key: &'a str,
    /// What is asked.
    pub(super) text: &'a str,
    /// What helps to answer it.
    pub(super) help: &'a str,
    /// The flag that answers it, as it is written.
    pub(super) flag: &'a str,
}

/// One of several answers.
pub(super) struct Choice {
    /// The answer.
    pub(super) value: String,
    /// What it is called where it is asked for; the value where this is empty.
    pub(super) label: String,
    /// What explains it.
    pub(super) about: String,
}

impl Choice {
    /// An answer that is called what it is.
    pub(super) fn new(value: impl Into<String>, about: impl Into<String>) -> Self {
        Self { value: value.into(), label: String::new(), about: about.into() }
    }

    fn label(&self) -> &str {
        if self.label.is_empty() { &self.value } else { &self.label }
    }
}

impl Talk {
    pub(super) const fn new(asker: Option<Box<dyn Asker>>) -> Self {
        Self { asker, given: Vec::new(), n_taken: 0, before: None }
    }

    /// Whether somebody can be asked.
    pub(super) const fn can_ask(&self) -> bool {
        self.asker.is_some()
    }

    /// Whether somebody was asked.
    pub(super) const fn has_asked(&self) -> bool {
        !self.given.is_empty()
    }

    /// Whether the question `key` was asked.
    pub(super) fn was_asked(&self, key: &str) -> bool {
        self.given.iter().any(|given| given.key == key)
    }

    /// Begins anew.
    pub(super) const fn restart(&mut self) {
        self.n_taken = 0;
    }

    /// Has the last question asked again whose key `is_meant`, else the last one; false where
    /// there is none.
    pub(super) fn back_to(&mut self, is_meant: impl Fn(&str) -> bool) -> bool {
        let meant = self.given.iter().rposition(|given| is_meant(&given.key));
        if let Some(at) = meant.or(self.given.len().checked_sub(1)) {
            self.before = Some(self.given.swap_remove(at));
            self.given.truncate(at);
            return true;
        }
        false
    }

    /// Says what is wrong with the answers, and has the question asked again whose key
    /// `is_meant`. Where nobody was asked, it fails.
    pub(super) fn refuse(&mut self, error: Error, is_meant: impl Fn(&str) -> bool) -> Stop {
        if self.can_ask() && self.back_to(is_meant) {
            status::say(&report::text(&error));
            return Stop::Again;
        }
        Stop::Failed(error)
    }

    /// Has one of `options` chosen. One alone is not asked about.
    pub(super) fn choose(&mut self, ask: &Ask<'_>, options: &[Choice], default: Option<&str>) -> Result<String, Stop> {
        if let [only] = options {
            return Ok(only.value.clone());
        }
        let find = |value: &str| options.iter().position(|option| option.value == value);
        if let Some(value) = self.taken(ask.key)
            && find(&value).is_some()
        {
            return Ok(value);
        }
        let before = self.before(ask.key);
        let Some(asker) = &mut self.asker else {
            let known: Vec<&str> = options.iter().map(|option| option.value.as_str()).collect();
            return default.map(ToOwned::to_owned).ok_or_else(|| missing(ask, &known));
        };
        let width = options.iter().map(|option| option.label().chars().count()).max().unwrap_or(0);
        let label = |option: &Choice| format!("{:width$}  {}", option.label(), option.about).trim_end().to_owned();
        let labels: Vec<String> = options.iter().map(label).collect();
        let start = before.as_deref().or(default).and_then(find).unwrap_or(0);
        let question = Question { text: ask.text, help: ask.help };
        let answer = match asker.choose(&question, &labels, start)? {
            Answer::Given(index) => Answer::Given(options[index].value.clone()),
            Answer::Back => Answer::Back,
            Answer::Left => Answer::Left,
        };
        self.take(ask.key, answer)
    }

    /// Has a text written.
    pub(super) fn write(&mut self, ask: &Ask<'_>, default: Option<&str>, check: Check<'_>) -> Result<String, Stop> {
        if let Some(value) = self.taken(ask.key)
            && check(&value).is_ok()
        {
            return Ok(value);
        }
        let before = self.before(ask.key);
        let Some(asker) = &mut self.asker else {
            let value = default.ok_or_else(|| missing(ask, &[]))?;
            let wrong = |wrong| Stop::Failed(Hinted::error(wrong, format!("give another with `{}`", ask.flag)));
            return check(value).map(|()| value.to_owned()).map_err(wrong);
        };
        let question = Question { text: ask.text, help: ask.help };
        let start = before.as_deref().or(default).unwrap_or_default();
        let answer = asker.write(&question, start, check)?;
        self.take(ask.key, answer)
    }

    /// The answer that was given in this place.
    fn taken(&mut self, key: &str) -> Option<String> {
        let given = self.given.get(self.n_taken).filter(|given| given.key == key);
        let value = given.map(|given| given.value.clone());
        match value {
            Some(_) => self.n_taken += 1,
            // the questions are others by now
            None => self.given.truncate(self.n_taken),
        }
        value
    }

    fn before(&mut self, key: &str) -> Option<String> {
        self.before.take_if(|given| given.key == key).map(|given| given.value)
    }

    fn take(&mut self, key: &str, answer: Answer<String>) -> Result<String, Stop> {
        // an answer that turned out not to fit any more is asked for anew
        self.given.truncate(self.n_taken.min(self.given.len()));
        match answer {
            Answer::Given(value) => {
                self.given.retain(|given| given.key != key);
                self.given.push(Given { key: key.to_owned(), value: value.clone() });
                self.n_taken = self.given.len();
                Ok(value)
            }
            Answer::Back => {
                self.back_to(|_| false);
                Err(Stop::Again)
            }
            Answer::Left => Err(Stop::Left),
        }
    }
}

/// The error of a question that nobody is there to answer.
fn missing(ask: &Ask<'_>, known: &[&str]) -> Stop {
    let about = match (known, ask.help) {
        ([], "") => String::new(),
        ([], help) => help.to_owned(),
        (known, _) => format!("there are {}", known.join(", ")),
    };
    Stop::Failed(Hinted::usage(
        format!("`{}` is missing, and nobody can be asked here", ask.flag),
        format!("{} {about}", ask.text).trim_end().to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use anyhow::Result;

    use super::*;

    /// Answers by a script; the log has what was asked, and what Enter would take.
    struct Script(VecDeque<Answer<&'static str>>, std::rc::Rc<std::cell::RefCell<Vec<String>>>);

    impl Asker for Script {
        fn choose(&mut self, question: &Question<'_>, options: &[String], start: usize) -> Result<Answer<usize>> {
            self.1.borrow_mut().push(format!("{} [{}]", question.text, options[start]));
            Ok(match self.0.pop_front().unwrap() {
                Answer::Given(label) => Answer::Given(options.iter().position(|option| option == label).unwrap()),
                Answer::Back => Answer::Back,
                Answer::Left => Answer::Left,
            })
        }

        fn write(&mut self, question: &Question<'_>, default: &str, check: Check<'_>) -> Result<Answer<String>> {
            self.1.borrow_mut().push(format!("{} [{default}]", question.text));
            Ok(match self.0.pop_front().unwrap() {
                Answer::Given(text) => {
                    check(text).unwrap();
                    Answer::Given(text.to_owned())
                }
                Answer::Back => Answer::Back,
                Answer::Left => Answer::Left,
            })
        }
    }

    fn ask<'a>(key: &'a str, text: &'a str) -> Ask<'a> {
        Ask { key, text, help: "", flag: "--it IT" }
    }

    /// Asks for a letter, its number, and an end.
    fn questions(talk: &mut Talk) -> Result<String, Stop> {
        let options = ["a", "b"].map(|letter| Choice::new(letter, ""));
        let letter = talk.choose(&ask("letter", "Letter?"), &options, None)?;
        let number = match letter.as_str() {
            "a" => talk.write(&ask("number", "Number?"), Some("1"), &|_| Ok(()))?,
            _ => String::new(),
        };
        let end = talk.write(&ask("end", "End?"), Some("."), &|_| Ok(()))?;
        Ok(format!("{letter}{number}{end}"))
    }

    fn check(script: &[Answer<&'static str>], wanted: Option<&str>, log: &[&str]) {
        let asked = std::rc::Rc::default();
        let asker = Script(script.iter().cloned().collect(), std::rc::Rc::clone(&asked));
        let mut talk = Talk::new(Some(Box::new(asker)));
        let result = loop {
            talk.restart();
            match questions(&mut talk) {
                Err(Stop::Again) => {}
                result => break result.ok(),
            }
        };
        assert_eq!(result.as_deref(), wanted);
        assert_eq!(*asked.borrow(), log);
    }

    #[test]
    fn back_asks_the_question_before_with_what_was_answered() {
        use Answer::{Back, Given, Left};
        check(&[Given("b"), Given("!")], Some("b!"), &["Letter? [a]", "End? [.]"]);
        check(
            &[Given("a"), Given("7"), Back, Given("8"), Back, Back, Given("b"), Given("!")],
            Some("b!"),
            &[
                "Letter? [a]",
                "Number? [1]",
                "End? [.]",
                "Number? [7]",
                "End? [.]",
                "Number? [8]",
                "Letter? [a]",
                "End? [.]",
            ],
        );
        check(&[Back, Given("b"), Left], None, &["Letter? [a]", "Letter? [a]", "End? [.]"]);
    }

    #[test]
    fn where_nobody_can_be_asked_the_flag_is_named() {
        let mut talk = Talk::new(None);
        let Err(Stop::Failed(error)) = questions(&mut talk) else { panic!("it was answered") };
        let text = crate::report::text(&error);
        let wanted = "error: `--it IT` is missing, and nobody can be asked here\nhint: Letter? there are a, b";
        assert_eq!(text, wanted);
        assert_eq!(talk.write(&ask("end", "End?"), Some("."), &|_| Ok(())).unwrap(), ".");
    }

    #[test]
    fn one_answer_alone_is_not_asked_for() {
        let chosen = Talk::new(None).choose(&ask("x", "X?"), &[Choice::new("only", "")], None);
        assert_eq!(chosen.unwrap(), "only");
    }
}
