//! The texts of the codes: each error comes about as its text shows it.
//!
//! What came before an example is in `tests/errors/CODE.md`, in the language of the pages: files
//! that are there, and what was run. A part of a file that a text shows is in one of those.

use flowctl_test_support::components::python_packages;
use flowctl_test_support::must_have_data;
use flowctl_types::Code;
use libtest_mimic::Trial;

use super::Reader;
use super::page::{Step, steps};
use crate::authoring::CHECKOUT;

pub(super) fn trials() -> Vec<Trial> {
    let follow = |code: &Code| {
        let code = *code;
        let title = format!("guide::errors_{}_comes_about_as_its_text_shows", code.name().replace('-', "_"));
        let followed = move || {
            follow(code);
            Ok(())
        };
        // the components are programs in Python
        let is_ignored =
            before(code).is_ok_and(|text| text.contains("python3")) && python_packages().is_none() && !must_have_data();
        Trial::test(title, followed).with_ignored_flag(is_ignored)
    };
    Code::ALL.iter().map(follow).collect()
}

/// What comes before the example of a code.
fn before(code: Code) -> std::io::Result<String> {
    std::fs::read_to_string(format!("{CHECKOUT}/tests/errors/{code}.md"))
}

fn follow(code: Code) {
    let before = steps(&before(code).expect("every code has its file"));
    let files: Vec<&str> = before.iter().filter_map(written).collect();
    let mut reader = Reader::new(code.name(), "");
    before.iter().for_each(|step| reader.does(step));
    for step in steps(&std::fs::read_to_string(format!("{CHECKOUT}/docs/errors/{code}.md")).unwrap()) {
        if let Step::See(part) = &step {
            assert!(files.iter().any(|file| holds(file, part)), "no file before the example holds this:\n{part}");
        }
        reader.does(&step);
    }
    let said = reader.shell.said();
    assert!(said.contains(&format!("error[{code}]: ")), "{said}");
}

fn written(step: &Step) -> Option<&str> {
    if let Step::Write { text, .. } = step { Some(text) } else { None }
}

/// Whether a file holds a part of it, at whichever depth.
fn holds(file: &str, part: &str) -> bool {
    let part: Vec<&str> = part.lines().collect();
    let lines: Vec<&str> = file.lines().collect();
    lines.windows(part.len()).any(|window| {
        let depth = window[0].len().saturating_sub(part[0].len());
        window.iter().zip(&part).all(|(line, part)| line.get(depth..) == Some(*part) && line[..depth].trim().is_empty())
    })
}
