//! What a control plane says, in the words that people are shown.

use std::borrow::Cow;

use flowctl_proto::admin::RunStatus;

/// `text` without what acts on a terminal: what registries, files and plugins say is shown to people.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let acts = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    match text.contains(acts) {
        true => Cow::Owned(text.replace(acts, "\u{fffd}")),
        false => Cow::Borrowed(text),
    }
}

/// A run's status in a word.
#[must_use]
pub const fn status_word(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Unspecified => "unknown",
        RunStatus::Starting => "starting",
        RunStatus::Running => "running",
        RunStatus::Stopping => "stopping",
        RunStatus::Completed => "completed",
        RunStatus::Failed => "failed",
        RunStatus::Stopped => "stopped",
    }
}

/// Whether nothing comes after this status.
#[must_use]
pub const fn is_over(status: RunStatus) -> bool {
    matches!(status, RunStatus::Completed | RunStatus::Failed | RunStatus::Stopped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_shown_acts_on_a_terminal() {
        assert_eq!(plain("a\u{1b}[31mb\n\tc\r\u{202e}"), "a\u{fffd}[31mb\n\tc\u{fffd}\u{fffd}");
        assert!(matches!(plain("→ ttp ✓"), Cow::Borrowed(_)));
    }
}
