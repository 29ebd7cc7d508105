//! What kind of terminal this process has, if any.

use std::ffi::OsStr;
use std::io::IsTerminal as _;
use std::os::fd::AsFd;

/// Columns where nothing says how many there are.
const WIDTH: usize = 80;

/// Whether somebody can be asked: sits at standard input, and sees what is said on stderr.
pub(crate) fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether it can only print lines, one below the other.
pub(crate) fn is_dumb() -> bool {
    only_prints(std::env::var_os("TERM").as_deref())
}

/// Whether what stands on it may have colours. `NO_COLOR` counts where it is not empty.
pub(crate) fn has_colour() -> bool {
    let [refusal, term] = ["NO_COLOR", "TERM"].map(std::env::var_os);
    may_be_coloured(refusal.as_deref(), term.as_deref())
}

/// Columns of what `stream` leads to; 80 where that is no terminal.
pub(crate) fn width(stream: impl AsFd) -> usize {
    let columns = rustix::termios::tcgetwinsize(stream).map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 { WIDTH } else { columns }
}

fn only_prints(term: Option<&OsStr>) -> bool {
    term.is_none_or(|term| term.is_empty() || term == "dumb")
}

fn may_be_coloured(refusal: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    refusal.is_none_or(OsStr::is_empty) && !only_prints(term)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_where_no_color_says_something_or_the_terminal_has_none() {
        for (refusal, term, wanted) in [
            (None, Some("xterm"), true),
            (Some(""), Some("xterm"), true),
            (Some("1"), Some("xterm"), false),
            (Some("0"), Some("xterm"), false),
            (None, Some("dumb"), false),
            (None, Some(""), false),
            (None, None, false),
        ] {
            let is_coloured = may_be_coloured(refusal.map(OsStr::new), term.map(OsStr::new));
            assert_eq!(is_coloured, wanted, "NO_COLOR={refusal:?} TERM={term:?}");
        }
    }
}
