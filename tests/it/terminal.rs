//! A terminal that `tmux` emulates, with a shell in it.

use std::process::Command;

use crate::control_plane::server::within_patience;
use crate::flowctl::Flowctl;

/// What the shell asks with.
pub(crate) const PROMPT: &str = "next> ";

/// A terminal with a shell in it. Dropped, it is gone, with what runs in it.
pub(crate) struct Terminal<'f> {
    flowctl: &'f Flowctl,
}

impl<'f> Terminal<'f> {
    /// 80×24, and nothing runs in it.
    pub(crate) fn new(flowctl: &'f Flowctl) -> Self {
        let terminal = Self { flowctl };
        let shell = "env -i PATH=\"$PATH\" TERM=\"$TERM\" sh";
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", shell]);
        terminal.types(&format!("PS1='{PROMPT}'; clear"));
        terminal.press("Enter");
        terminal
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
        let mut line = format!("cd '{}'; env", self.flowctl.path("").display());
        for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            line.push_str(&format!(" {}='{}'", name.display(), value.display()));
        }
        line.push_str(&format!(" '{}'", command.get_program().display()));
        for argument in command.get_args() {
            line.push_str(&format!(" '{}'", argument.display()));
        }
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
        let mut screen = String::new();
        let is_shown = |screen: &str| wanted.iter().all(|text| screen.contains(text));
        let found = within_patience(|| {
            screen = self.tmux(&["capture-pane", "-p"]);
            is_shown(&screen).then_some(())
        });
        assert!(found.is_some(), "no {wanted:?} on the screen:\n{screen}");
        screen
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let mut command = Command::new("tmux");
        let _ = command.arg("-S").arg(self.flowctl.path("tmux")).arg("kill-server").output();
    }
}
