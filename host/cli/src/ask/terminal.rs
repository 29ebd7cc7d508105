//! What kind of terminal this process has, if any.

use std::ffi::OsStr;
use std::io::IsTerminal as _;

/// Whether somebody can be asked: sits at standard input, and sees what is said on stderr.
pub(super) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether the terminal can only print lines, one below the other.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Whether what is said on stderr may have colours. `NO_COLOR` counts where it is not empty.
pub(super) fn has_colour() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|said| said != OsStr::new(""));
    std::io::stderr().is_terminal() && !is_dumb() && !is_refused
}

/// Columns of the terminal, at least 20.
pub(super) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(80).max(20)
}
