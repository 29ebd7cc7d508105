//! The guide for authors, followed to the letter: its commands are run, its files written, in
//! its order, and what it shows is what is said.
//!
//! In a console, lines behind `$` are commands, and those below have to be among what the
//! command says; `…` stands for anything. A block with a path behind its language is a file.
//! A block of text is what the pipeline in development says next; it is interrupted when the
//! next commands come.

use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Trial;

use super::dev::{Dev, says};
use super::{Author, CHECKOUT};
use crate::fact;
use crate::flowctl::Answer;

const GUIDE: &str = include_str!("../../../docs/authoring.md");
const README: &str = include_str!("../../../README.md");

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("authoring::the_guide_is_right_in_every_block", followed),
        fact("authoring::the_four_commands_of_the_readme_run", four_commands),
    ]
}

/// Somebody who follows the guide.
struct Reader {
    author: Author,
    /// Where they are, from the author's folder.
    here: String,
    dev: Option<Dev>,
}

fn four_commands() {
    let block = README.split("```console\n").find(|text| text.starts_with("$ flowctl processors init ")).unwrap();
    let block = block.split("```").next().unwrap();
    assert_eq!(block.matches("$ ").count(), 4, "{block}");
    let mut reader = Reader::new();
    reader.console(block);
    reader.console("");
}

fn followed() {
    let mut reader = Reader::new();
    let mut n_blocks = 0;
    for block in GUIDE.split("```").skip(1).step_by(2) {
        let (head, body) = block.split_once('\n').unwrap();
        match head.split_once(' ') {
            Some((_, path)) => drop(reader.author.flowctl.write(&format!("{}/{path}", reader.here), body)),
            None if head == "console" => reader.console(body),
            None if head == "text" => reader.hears(body),
            None => panic!("what is to be done with a block of `{head}`?"),
        }
        n_blocks += 1;
    }
    assert_eq!(n_blocks, 10, "a block that is not closed hides the next ones");
}

impl Reader {
    /// One with an empty folder beside a checkout.
    fn new() -> Self {
        let author = Author::new();
        std::os::unix::fs::symlink(CHECKOUT, author.flowctl.path("flowctl")).unwrap();
        std::fs::create_dir(author.flowctl.path("work")).unwrap();
        Self { author, here: "work".to_owned(), dev: None }
    }

    fn console(&mut self, text: &str) {
        if let Some(dev) = self.dev.take() {
            dev.interrupt(&self.author.flowctl);
        }
        for step in text.split("$ ").filter(|step| !step.is_empty()) {
            let (command, shown) = step.split_once('\n').unwrap_or((step, ""));
            let words: Vec<&str> = command.split_whitespace().collect();
            match words.as_slice() {
                ["cd", folder] => {
                    self.here = format!("{}/{folder}", self.here);
                    self.author.ready(&self.here);
                }
                ["flowctl", "processors", "dev", ..] => {
                    let arguments = words[3..].join(" ");
                    self.dev = Some(Dev::start(&self.author, &self.here, &arguments));
                    self.hears(shown);
                }
                ["flowctl", ..] => self.check(&mut self.author.command(&words[1..].join(" ")), shown),
                [program, arguments @ ..] => self.check(Command::new(program).args(arguments), shown),
                [] => {}
            }
        }
    }

    fn check(&self, command: &mut Command, shown: &str) {
        let answer = Answer::of(command.current_dir(self.path()).output().unwrap());
        let said = format!("{}\n{}", answer.stdout, answer.stderr);
        for line in shown.lines() {
            assert!(said.lines().any(|said| fits(said, line)), "{command:?} does not say `{line}`, but: {said}");
        }
        let is_failure = shown.lines().any(|line| line.starts_with("error:"));
        assert_eq!(answer.code, Some(i32::from(is_failure)), "{command:?}: {said}");
    }

    /// Waits until the pipeline has said each line.
    fn hears(&self, shown: &str) {
        for line in shown.lines() {
            let said = says(&self.author.flowctl, line.split('…').next().unwrap());
            assert!(said.lines().any(|said| fits(said, line)), "no `{line}` in {said}");
        }
    }

    fn path(&self) -> PathBuf {
        self.author.flowctl.path(&self.here)
    }
}

/// Whether `said` has the parts of `shown` between `…` in order, from its start to its end.
fn fits(said: &str, shown: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = said.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut is_open = false;
    for part in parts {
        is_open = true;
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || is_open && shown.ends_with('…')
}
