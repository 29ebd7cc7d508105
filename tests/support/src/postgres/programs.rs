//! Finds PostgreSQL's programs, and runs them as a user that they accept.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where Debian has the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The programs of one installation.
#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    /// Whom to run them as: PostgreSQL refuses root.
    user: Option<User>,
}

#[derive(Debug)]
struct User {
    name: &'static str,
    uid: u32,
    gid: u32,
}

impl Programs {
    /// Finds the programs of the newest version that is installed.
    pub(super) fn find() -> Self {
        let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
        let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path());
        let debian = versions.filter(|path| path.join("bin/initdb").is_file()).max_by_key(version);
        let search = std::env::var_os("PATH").unwrap_or_default();
        let folder = debian
            .map(|path| path.join("bin"))
            .or_else(|| std::env::split_paths(&search).find(|folder| folder.join("initdb").is_file()))
            .expect("PostgreSQL's programs are missing: install the Debian package `postgresql`");
        let is_root = id("-u", None) == Some(0);
        let user = is_root.then(|| {
            let users = ["postgres", "nobody"].into_iter();
            let mut known =
                users.filter_map(|name| Some(User { name, uid: id("-u", Some(name))?, gid: id("-g", Some(name))? }));
            known.next().expect("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")
        });
        Self { folder, user }
    }

    /// The path of a program.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A program that the kernel stops when the thread that started it ends, run as a
    /// user that it accepts.
    pub(super) fn command(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        if let Some(user) = &self.user {
            command.args(["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string(), "--clear-groups"]);
            command.env("HOME", "/").env("USER", user.name);
        }
        // as an immediate shutdown does: nothing is left behind
        command.args(["--pdeathsig", "QUIT"]).arg(self.path(name)).current_dir("/");
        command
    }

    /// Gives a file to the user that the programs run as.
    pub(super) fn hand_over(&self, path: &Path) {
        if let Some(user) = &self.user {
            chown(path, Some(user.uid), Some(user.gid)).expect("root may give its files away");
        }
    }

    /// Runs a program to its end, and answers what it printed.
    pub(super) fn run(&self, command: &mut Command) -> String {
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
            panic!(
                "cannot start `{}`: {error}; install the Debian packages `postgresql` and `util-linux`",
                name(command)
            )
        });
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        assert!(
            output.status.success(),
            "`{}` failed: {}\n{}",
            name(command),
            text(&output.stderr),
            text(&output.stdout)
        );
        text(&output.stdout)
    }
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// What `id` says of a user, or of this process; none where there is no such user.
fn id(what: &str, user: Option<&str>) -> Option<u32> {
    let output = Command::new("id").arg(what).args(user).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
