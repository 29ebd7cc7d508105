//! Status: what is said to people, on stderr.
//!
//! Invariant: everything that this process says on stderr passes here, so that a line
//! stands above the live figures and never in one of them, and that a stderr which is
//! full or gone neither ends the process nor changes its exit code. Nothing else is
//! lost with it: data goes to stdout.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError, RwLock};

use indicatif::MultiProgress;

use crate::output;

/// The live lines on the terminal, while there are some.
static LIVE: RwLock<Option<MultiProgress>> = RwLock::new(None);

/// What is to be said once the terminal is free again; none where it is free.
static HELD: Mutex<Option<Vec<String>>> = Mutex::new(None);

/// Texts that are held back; what comes after them is lost.
const MAX_HELD: usize = 100;

/// Holds back what is said while it lives.
pub(crate) struct Held;

/// Holds back what is said from here on: something else has the terminal.
pub(crate) fn hold() -> Held {
    *HELD.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    Held
}

/// Says nothing from here on.
pub(crate) fn mute() {
    // nobody lets go of what is held
    std::mem::forget(hold());
}

impl Drop for Held {
    fn drop(&mut self) {
        let held = HELD.lock().unwrap_or_else(PoisonError::into_inner).take();
        held.into_iter().flatten().for_each(|text| say_as_it_is(&text));
    }
}

/// Writes `text` and a line break to stderr, above the live lines. That it cannot be
/// written is ignored: there is nobody left to tell.
///
/// What acts on a terminal is taken out: much of what is said was said by somebody else.
pub(crate) fn say(text: &str) {
    say_as_it_is(&output::plain(text));
}

fn say_as_it_is(text: &str) {
    if let Some(held) = HELD.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        if held.len() < MAX_HELD {
            held.push(text.to_owned());
        }
        return;
    }
    let live = LIVE.read().unwrap_or_else(PoisonError::into_inner);
    say_above(live.as_ref(), text);
}

/// Says a warning.
pub(crate) fn warn(text: &str) {
    say(&format!("warning: {text}"));
}

/// Has `lines` make room for what is said, until [`detach`].
pub(crate) fn attach(lines: MultiProgress) {
    *LIVE.write().unwrap_or_else(PoisonError::into_inner) = Some(lines);
}

/// Says everything from here on without regard to live lines.
pub(crate) fn detach() {
    *LIVE.write().unwrap_or_else(PoisonError::into_inner) = None;
}

/// Where logs are written: each record is said.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        // the colours are its own, and it shows what it quotes without escapes
        say_as_it_is(text.strip_suffix('\n').unwrap_or(&text));
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn say_above(live: Option<&MultiProgress>, text: &str) {
    // lines that are hidden swallow what is printed above them
    let _ = match live.filter(|lines| !lines.is_hidden()) {
        Some(lines) => lines.println(text),
        None => io::stderr().lock().write_all(format!("{text}\n").as_bytes()),
    };
}

#[cfg(test)]
mod tests {
    use indicatif::{InMemoryTerm, ProgressBar, ProgressDrawTarget, ProgressStyle};

    use super::*;

    #[test]
    fn what_is_said_stands_above_the_live_lines() {
        let terminal = InMemoryTerm::new(10, 80);
        let lines = MultiProgress::with_draw_target(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        let bar = lines.add(ProgressBar::no_length().with_style(ProgressStyle::with_template("{msg}").unwrap()));
        bar.set_message("orders  7 events");
        bar.tick();
        say_above(Some(&lines), "Draining; once more to stop at once");
        bar.tick();
        assert_eq!(terminal.contents(), "Draining; once more to stop at once\norders  7 events");
    }

    #[test]
    fn what_is_said_while_something_else_has_the_terminal_is_said_later() {
        let is_held = || HELD.lock().unwrap().iter().flatten().any(|text| text == "later");
        let held = hold();
        say("later");
        assert!(is_held());
        drop(held);
        assert!(!is_held() && HELD.lock().unwrap().is_none());
    }

    #[test]
    fn log_records_are_taken_whole_whatever_becomes_of_them() {
        assert_eq!(Log.write(b"WARN guest: \xff\n").unwrap(), 14);
    }
}
