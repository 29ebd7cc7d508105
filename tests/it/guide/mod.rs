//! The guide in `docs/` and the README, followed to the letter by somebody who has nothing else:
//! their files written, their commands run in a shell, in their order, and what they show
//! is what is said. See [`page`] for how a page says what.
//!
//! Two things differ from a reader's machine: ports (`localhost:5000` is a registry, `8080` the
//! control plane's), and flowctl is built already.

mod errors;
mod page;
mod shell;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowctl_test_support::registry::{Access, Registry, Transport};
use flowctl_test_support::{Port, postgres};
use libtest_mimic::Trial;

use self::page::{Step, fits, steps};
use self::shell::Shell;
use crate::authoring::{Author, CHECKOUT};
use crate::control_plane::server::within_patience;
use crate::fact;
use crate::flowctl::{guests, plugins, target};

/// What pages call registries: the first is the reader's, the second wants credentials.
const REGISTRIES: [(&str, Access); 2] = [("localhost:5000", Access::Anyone), ("localhost:5001", Access::Password)];

/// What a page calls ports that are free: the first is the control plane's.
const PORTS: [&str; 2] = ["8080", "8081"];

/// Commands that build flowctl, or test it as a whole: done by what runs this.
const DONE_BEFORE: [&str; 4] = [
    "cargo xtask demo    # builds everything, runs the flagship pipeline, prints transfers and a summary",
    "cargo xtask test    # everything that continuous integration runs",
    "cargo build --bin flowctl && export PATH=$PWD/target/debug:$PATH",
    "export FLOWCTL_PLUGINS=$(cargo xtask guests | tail -n 1)",
];

/// The crate that several pages make. Crates are built into one folder, so that those of one name
/// are not built at one time.
const COMMON_CRATE: &str = "big-orders";

/// Whose turn it is with that.
static TURN: Mutex<()> = Mutex::new(());

/// Commands that go on until they are interrupted.
const ENDLESS: [&str; 2] = ["flowctl serve", "flowctl processors dev"];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![fact("guide::the_summary_has_every_page_and_every_link_leads_somewhere", links)];
    for page in pages() {
        let name = page.file_stem().unwrap().to_string_lossy().replace('-', "_").to_lowercase();
        let title = format!("guide::{name}_is_right_in_every_block");
        let followed = move || {
            follow(&name, &std::fs::read_to_string(&page).unwrap());
            Ok(())
        };
        trials.push(Trial::test(title, followed));
    }
    trials.extend(errors::trials());
    trials
}

/// The README and the pages of the guide.
fn pages() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(docs()).unwrap().map(|entry| entry.unwrap().path());
    let is_page = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "md") && !path.ends_with("SUMMARY.md");
    let mut pages: Vec<PathBuf> = entries.filter(is_page).collect();
    pages.sort();
    pages.insert(0, Path::new(CHECKOUT).join("README.md"));
    pages
}

fn docs() -> PathBuf {
    Path::new(CHECKOUT).join("docs")
}

/// Somebody who follows a page.
struct Reader {
    // before what it speaks to
    shell: Shell,
    author: Author,
    ports: [Port; 2],
    registries: [OnceCell<Registry>; 2],
    /// Whether the last command has said all that it says.
    is_settled: bool,
    // for as long as the page is followed
    _database: Option<Arc<postgres::Server>>,
    _turn: Option<MutexGuard<'static, ()>>,
}

fn follow(name: &str, page: &str) {
    let mut reader = Reader::new(name, page);
    steps(page).iter().for_each(|step| reader.does(step));
    reader.interrupt();
}

impl Reader {
    /// One with an empty folder beside a checkout.
    fn new(name: &str, page: &str) -> Self {
        let turn = || TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = page.contains(COMMON_CRATE).then(turn);
        let author = Author::new();
        let flowctl = &author.flowctl;
        std::os::unix::fs::symlink(CHECKOUT, flowctl.path("flowctl")).unwrap();
        std::fs::create_dir(flowctl.path("work")).unwrap();
        let mut bash = author.program("bash");
        let mut path = vec![Path::new(env!("CARGO_BIN_EXE_flowctl")).parent().unwrap().to_owned()];
        let database = page.contains("DATABASE_URL").then(postgres::Server::shared);
        if let Some(server) = &database {
            path.push(server.psql_program().parent().unwrap().to_owned());
            bash.env("DATABASE_URL", server.create_database(&format!("guide_{name}")));
        }
        path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
        // fetched once for all runs
        bash.env("npm_config_cache", target().join("guide/npm")).env("PIP_CACHE_DIR", target().join("guide/pip"));
        bash.env("npm_config_prefer_offline", "true")
            .env("PATH", std::env::join_paths(path).unwrap())
            .env("FLOWCTL_PLUGINS", plugins())
            .env("GUESTS", guests());
        let shell = Shell::start(bash, flowctl.path("notes"), flowctl.path("work"));
        Self {
            shell,
            author,
            ports: PORTS.map(|_| Port::take()),
            registries: [const { OnceCell::new() }; 2],
            is_settled: false,
            _database: database,
            _turn: turn,
        }
    }

    fn does(&mut self, step: &Step) {
        match step {
            Step::Write { path, text } => self.write(path, text),
            Step::Append { path, text } => {
                let before = std::fs::read_to_string(self.shell.here().join(path)).unwrap();
                self.write(path, &format!("{before}\n{text}"));
            }
            Step::Run { command, shown } => self.run(command, shown),
            Step::Hear(shown) => self.hears(shown),
            Step::See(_) => {}
        }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.shell.here().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, self.here(text)).unwrap();
    }

    fn run(&mut self, command: &str, shown: &[String]) {
        if DONE_BEFORE.contains(&command) {
            return;
        }
        self.interrupt();
        let here = self.shell.here();
        if here.join("Cargo.toml").exists() && !here.join("target").exists() {
            self.author.ready(&here.to_string_lossy());
        }
        let mut typed = self.here(command);
        if typed.contains("flowctl serve") {
            let address = self.ports[0].address();
            typed = typed.replace("flowctl serve", &format!("flowctl serve --listen {address}"));
            self.shell.run(&format!("export FLOWCTL_ENDPOINT={address}"));
        }
        let is_behind = command.ends_with('&');
        let is_endless = !is_behind && ENDLESS.iter().any(|endless| command.starts_with(endless));
        self.is_settled = !is_behind && !is_endless;
        if is_endless {
            self.shell.leave_running(&typed);
            return self.hears(shown);
        }
        let ended = self.shell.run(&typed);
        let is_failure = shown.iter().any(|line| line.starts_with("error"));
        assert_eq!(ended.code, i32::from(is_failure), "`{command}` says: {}", ended.said);
        self.hears(shown);
    }

    /// Sees that the last command has said each line; waits for those that may still come.
    fn hears(&self, shown: &[String]) {
        for line in shown.iter().map(|line| self.here(line)) {
            let is_said = || self.shell.said().lines().any(|said| fits(said.trim_end(), line.trim_end())).then_some(());
            let heard = if self.is_settled { is_said() } else { within_patience(is_said) };
            heard.unwrap_or_else(|| panic!("nothing says `{line}`, but: {}", self.shell.said()));
        }
    }

    fn interrupt(&mut self) {
        if let Some(ended) = self.shell.interrupt() {
            assert_eq!(ended.code, 0, "{}", ended.said);
        }
    }

    /// A text of the page, with the ports of here.
    fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, port) in PORTS.iter().zip(&self.ports) {
            text = text.replace(name, &port.address().port().to_string());
        }
        for ((name, access), registry) in REGISTRIES.into_iter().zip(&self.registries) {
            if text.contains(name) {
                let registry = registry.get_or_init(|| Registry::start_with(Transport::Plain, access));
                text = text.replace(name, &registry.address().to_string());
            }
        }
        text
    }
}

fn links() {
    let summary = std::fs::read_to_string(docs().join("SUMMARY.md")).unwrap();
    for page in pages().iter().skip(1) {
        let name = page.file_name().unwrap().to_string_lossy();
        assert!(summary.contains(&format!("({name})")), "SUMMARY.md has no `{name}`");
    }
    for page in pages().into_iter().chain([docs().join("SUMMARY.md")]) {
        let text = std::fs::read_to_string(&page).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                let there = page.parent().unwrap().join(target);
                assert!(there.exists(), "{} links to `{target}`, which is not there", page.display());
            }
        }
    }
}
