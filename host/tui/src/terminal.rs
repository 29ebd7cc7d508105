//! The terminal: taken over, and given back however the dashboard ends.
//!
//! Invariant: it is written to and never asked, since what does not answer would be waited for.

use std::io::{self, Stdout, stdout};
use std::ops::{Deref, DerefMut};
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::Show;
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::backend::CrosstermBackend;

/// The terminal while the dashboard has it. Dropped, it is as it was before; a panic gives it back before it speaks.
pub(crate) struct Terminal {
    terminal: ratatui::Terminal<CrosstermBackend<Stdout>>,
    /// Whether a panic gave it back.
    is_lost: Arc<AtomicBool>,
    hook: Arc<Hook>,
}

/// What a panic is told by.
type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

impl Terminal {
    /// Takes the terminal over.
    ///
    /// # Errors
    ///
    /// When it is none, or does not do what it is told; it is given back then.
    pub(crate) fn take() -> io::Result<Self> {
        let hook: Arc<Hook> = Arc::from(std::panic::take_hook());
        let is_lost = Arc::new(AtomicBool::new(false));
        let (then, lost) = (Arc::clone(&hook), Arc::clone(&is_lost));
        std::panic::set_hook(Box::new(move |info| {
            lost.store(true, Ordering::Relaxed);
            give_back();
            then(info);
        }));
        let taken = (|| {
            enable_raw_mode()?;
            execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
            ratatui::Terminal::new(CrosstermBackend::new(stdout()))
        })();
        match taken {
            Ok(terminal) => Ok(Self { terminal, is_lost, hook }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Whether it is still the dashboard's: a task that panicked gave it back, and nothing may be drawn any more.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.is_lost.load(Ordering::Relaxed) {
            true => Err(io::Error::other("a part of the dashboard broke")),
            false => Ok(()),
        }
    }

    /// Clears the screen, and has the next picture be drawn as a whole.
    ///
    /// # Errors
    ///
    /// When the terminal does not do what it is told.
    pub(crate) fn start_over(&mut self) -> io::Result<()> {
        // `clear` would ask where the cursor is
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }
}

impl Deref for Terminal {
    type Target = ratatui::Terminal<CrosstermBackend<Stdout>>;

    fn deref(&self) -> &Self::Target {
        &self.terminal
    }
}

impl DerefMut for Terminal {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.terminal
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
        // a thread that panics may not touch the hook
        if !std::thread::panicking() {
            let hook = Arc::clone(&self.hook);
            std::panic::set_hook(Box::new(move |info| hook(info)));
        }
    }
}

/// Does what can be done: a terminal that is gone needs nothing.
fn give_back() {
    let _ = execute!(stdout(), DisableBracketedPaste, LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Set in the process that breaks.
    const BREAKS: &str = "FLOWCTL_TEST_BREAKS";
    const NAME: &str = "terminal::tests::a_panic_gives_the_terminal_back_before_it_speaks";

    #[test]
    fn a_panic_gives_the_terminal_back_before_it_speaks() {
        if std::env::var_os(BREAKS).is_some() {
            let terminal = Terminal::take().unwrap();
            std::thread::spawn(|| panic!("the picture fell")).join().unwrap_err();
            terminal.check().unwrap_err();
            return;
        }
        // this test again, on a terminal of its own
        let own = std::env::current_exe().unwrap();
        let line = format!("'{}' --exact {NAME} --nocapture && stty -a", own.display());
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env(BREAKS, "").stdin(Stdio::null());
        let output = script.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}");
        let order = ["\u{1b}[?1049h", "\u{1b}[?1049l", "the picture fell", " icanon "].map(|text| said.find(text));
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?} in {said:?}");
    }
}
