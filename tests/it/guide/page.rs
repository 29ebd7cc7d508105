//! What a page of Markdown has its reader do.
//!
//! In a block of `console`, lines behind `$` are commands, a `\` at the end goes on in the next
//! line, and what stands below a command is what it shows; `…` stands for anything. A block
//! whose head has a path behind the language is a file to write, with `>>` between them text to
//! put at its end. A block of `text` is what the command that runs says next. All others are to
//! be looked at only: `screen` is a picture of a terminal, another language a part of a file.

/// What the reader does next.
#[derive(Debug)]
pub(super) enum Step {
    /// A file is written.
    Write { path: String, text: String },
    /// A file is gone on with.
    Append { path: String, text: String },
    /// A command is run, and shows these lines.
    Run { command: String, shown: Vec<String> },
    /// What runs says these lines.
    Hear(Vec<String>),
    /// A part of a file is looked at.
    See(String),
}

/// The steps of a page, in its order.
pub(super) fn steps(page: &str) -> Vec<Step> {
    let mut lines = page.lines();
    let mut steps = Vec::new();
    while let Some(line) = lines.next() {
        let Some(head) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let text = || block.iter().flat_map(|line| [*line, "\n"]).collect();
        match head.split(' ').collect::<Vec<_>>().as_slice() {
            ["console"] => steps.extend(commands(&block)),
            ["text"] => steps.push(Step::Hear(owned(&block))),
            [_, ">>", path] => steps.push(Step::Append { path: (*path).to_owned(), text: text() }),
            [_, path] => steps.push(Step::Write { path: (*path).to_owned(), text: text() }),
            ["yaml" | "json" | "sql" | "toml" | "rust" | "wit"] => steps.push(Step::See(text())),
            ["screen"] => {}
            _ => panic!("what is to be done with a block of `{head}`?"),
        }
    }
    steps
}

fn commands(block: &[&str]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = block.iter().copied().peekable();
    while let Some(line) = lines.next() {
        let mut command = line.strip_prefix("$ ").unwrap_or_else(|| panic!("no command shows `{line}`")).to_owned();
        while command.ends_with('\\') {
            command.pop();
            command += lines.next().expect("a line goes on");
        }
        let mut shown = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            shown.push(line.to_owned());
        }
        steps.push(Step::Run { command, shown });
    }
    steps
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// Whether `said` has the parts of `shown` between `…` in order, from its start to its end.
pub(super) fn fits(said: &str, shown: &str) -> bool {
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
