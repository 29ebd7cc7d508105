//! A terminal with a shell in it, which `tmux` emulates: commands are typed, keys pressed, and
//! the screen is read.
//!
//! Invariant: what is waited for is on the screen, or the test fails and shows the screen.

use std::process::Command;

use crate::control_plane::server::{until, within_patience};
use crate::flowctl::Flowctl;

/// What the shell asks with.
const PROMPT: &str = "next> ";

/// What is typed behind a completion to see its end. Nothing else has it on its last line.
const MARK: &str = "^";

/// A terminal with a shell in it. Dropped, it is gone, with what runs in it.
pub(crate) struct Terminal<'f> {
    flowctl: &'f Flowctl,
}

impl<'f> Terminal<'f> {
    /// 80×24, and nothing runs in it.
    pub(crate) fn new(flowctl: &'f Flowctl) -> Self {
        Self::sized(flowctl, (80, 24), "$TERM")
    }

    /// One of so many columns and lines, which calls itself `term`.
    pub(crate) fn sized(flowctl: &'f Flowctl, (width, height): (u16, u16), term: &str) -> Self {
        let terminal = Self { flowctl };
        let shell = format!("env -i PATH=\"$PATH\" TERM=\"{term}\" sh");
        let (width, height) = (width.to_string(), height.to_string());
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, &shell]);
        terminal.types(&format!("PS1='{PROMPT}'; clear"));
        terminal.press("Enter");
        // what is typed before it asks would be shown before it clears the screen
        match term {
            "dumb" => terminal.waits(PROMPT, |screen| screen.lines().any(|line| line == PROMPT.trim_end())),
            _ => terminal.waits(PROMPT, |screen| screen == PROMPT.trim_end()),
        };
        terminal
    }

    /// Takes away what is on the screen; nothing runs.
    pub(crate) fn clear(&self) {
        self.types("clear");
        self.press("Enter");
        self.waits(PROMPT, |screen| screen == PROMPT.trim_end());
    }

    /// Waits until nothing runs, and the shell asks for more.
    #[track_caller]
    pub(crate) fn has_ended(&self) -> String {
        until("it has ended", || self.children().is_empty().then_some(()));
        self.waits(PROMPT, |screen| screen.lines().last() == Some(PROMPT.trim_end()))
    }

    pub(crate) fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.flowctl.path("tmux")).args(arguments).env_remove("TMUX");
        let output = command.output().unwrap();
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Types a command, and starts it.
    pub(crate) fn start(&self, command: &Command) {
        self.start_and(command, "");
    }

    /// Types a command with something of the shell behind it, and starts it.
    pub(crate) fn start_and(&self, command: &Command, behind: &str) {
        let mut line = format!("cd '{}'; env", self.flowctl.path("").display());
        for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            line.push_str(&format!(" {}='{}'", name.display(), value.display()));
        }
        line.push_str(&format!(" '{}'", command.get_program().display()));
        for argument in command.get_args() {
            line.push_str(&format!(" '{}'", argument.display()));
        }
        line.push_str(behind);
        self.flowctl.write("start.sh", line);
        self.types(&format!(". '{}'", self.flowctl.path("start.sh").display()));
        self.press("Enter");
    }

    /// Presses a key, by its name.
    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    pub(crate) fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    /// Has a shell complete what is typed; answers the screen when it has, or has found nothing.
    #[track_caller]
    pub(crate) fn completes(&self, typed: &str) -> String {
        self.types(typed);
        self.press("Tab");
        // the shell takes the next key when it is done
        self.types(MARK);
        let screen =
            self.waits("end of a completion", |screen| screen.lines().last().is_some_and(|line| line.contains(MARK)));
        self.press("BSpace");
        screen
    }

    /// What runs in the shell.
    pub(crate) fn children(&self) -> Vec<u32> {
        let shell = self.tmux(&["list-panes", "-F", "#{pane_pid}"]);
        let shell = shell.trim();
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).unwrap();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Waits until the screen has all of these.
    #[track_caller]
    pub(crate) fn shows(&self, wanted: &[&str]) -> String {
        self.waits(&format!("{wanted:?}"), |screen| wanted.iter().all(|text| screen.contains(text)))
    }

    /// Waits until the screen has one of these.
    #[track_caller]
    pub(crate) fn shows_any(&self, wanted: &[&str]) -> String {
        self.waits(&format!("any of {wanted:?}"), |screen| wanted.iter().any(|text| screen.contains(text)))
    }

    /// Waits until one line of the screen has all of these.
    #[track_caller]
    pub(crate) fn shows_line(&self, wanted: &[&str]) -> String {
        let has_all = |line: &str| wanted.iter().all(|text| line.contains(text));
        self.waits(&format!("line with {wanted:?}"), |screen| screen.lines().any(has_all))
    }

    /// Waits until the screen has this no more.
    #[track_caller]
    pub(crate) fn hides(&self, gone: &str) -> String {
        self.waits(&format!("end of `{gone}`"), |screen| !screen.contains(gone))
    }

    /// Waits until the last question on the screen is this one.
    #[track_caller]
    pub(crate) fn asks(&self, question: &str) -> String {
        let is_question = |line: &&str| line.starts_with("? ") && !line.ends_with("(back)");
        self.waits(question, |screen| screen.lines().rfind(is_question).is_some_and(|line| line.contains(question)))
    }

    #[track_caller]
    fn waits(&self, what: &str, is_shown: impl Fn(&str) -> bool) -> String {
        let mut screen = String::new();
        let found = within_patience(|| {
            screen = self.tmux(&["capture-pane", "-p"]);
            is_shown(screen.trim_end()).then_some(())
        });
        assert!(found.is_some(), "no {what} on the screen:\n{screen}");
        screen
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.arg("-S").arg(self.flowctl.path("tmux")).arg("kill-server").output();
    }
}
