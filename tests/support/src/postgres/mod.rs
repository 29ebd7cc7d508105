//! A throw-away PostgreSQL server on loopback, for tests.
//!
//! Invariant: no server outlives the process that started it. It is stopped when its
//! [`Server`] is dropped, by a panic too, and the kernel stops it when the process is
//! killed. Its data, sockets and certificates are in one temporary folder. What cannot
//! be done is a panic that says why: a test can do nothing else about it.

mod programs;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::process::Signal;

use self::programs::Programs;
use crate::certificates::Certificates;
use crate::port::Port;
use crate::process::Process;

/// The password of the one role, which must never be seen in an error.
pub const PASSWORD: &str = "hunter2-is-secret";

const ROLE: &str = "flowctl";
/// What its log says once it takes connections.
const READY: &str = "ready to accept connections";

/// A server of its own. It listens on 127.0.0.1 and on a socket in its folder; its one
/// role may do everything. Nothing is synced to disk: what it commits survives its own
/// death, not the machine's.
#[derive(Debug)]
pub struct Server {
    // before the folder: what runs in it has to end first
    process: Option<Process>,
    programs: Programs,
    port: Port,
    certificates: Option<Certificates>,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts a server.
    ///
    /// # Panics
    ///
    /// When PostgreSQL is not installed, or does not start; with its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_in(|_, _| None)
    }

    /// A server that tests of one program share, each with a database of its own. It
    /// runs as long as one of them has it.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    #[must_use]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Starts a server that takes TLS, with a certificate for `localhost` alone.
    ///
    /// # Panics
    ///
    /// As [`Server::start`].
    #[must_use]
    pub fn start_with_tls() -> Self {
        Self::start_in(|programs, folder| {
            let certificates = Certificates::make(folder, &["localhost"]);
            programs.hand_over(&certificates.key);
            Some(certificates)
        })
    }

    fn start_in(certificates: impl FnOnce(&Programs, &Path) -> Option<Certificates>) -> Self {
        let programs = Programs::find();
        let folder = tempfile::Builder::new().prefix("flowctl-pg-").tempdir().expect("a temporary folder can be made");
        programs.hand_over(folder.path());
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).expect("the temporary folder can be written");
        programs.hand_over(&password);
        programs.run(
            programs
                .command("initdb")
                .args(["--username", ROLE, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"])
                .args(["--no-sync", "--no-instructions", "--pwfile"])
                .arg(&password)
                .arg(folder.path().join("data")),
        );
        let certificates = certificates(&programs, folder.path());
        let mut server = Self { process: None, programs, port: Port::take(), certificates, folder };
        server.restart();
        server
    }

    /// Where a client finds it, password included.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Where a client finds one of its databases, password included.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{PASSWORD}@{}/{database}", self.port.address())
    }

    /// Makes an empty database, and says where a client finds it.
    ///
    /// # Panics
    ///
    /// When there is one of that name.
    #[must_use]
    pub fn create_database(&self, name: &str) -> String {
        self.psql(&self.url(), &format!("CREATE DATABASE \"{name}\""));
        self.url_of(name)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port.address().port()
    }

    /// The folder of its socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The certificate of the authority that signed the server's.
    ///
    /// # Panics
    ///
    /// When the server does not take TLS.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.certificates.as_ref().expect("the server was started with TLS").authority
    }

    /// The certificate of an authority that signed nothing.
    ///
    /// # Panics
    ///
    /// When the server does not take TLS.
    #[must_use]
    pub fn other_ca_file(&self) -> &Path {
        &self.certificates.as_ref().expect("the server was started with TLS").stranger
    }

    /// The program `psql` that came with the server.
    #[must_use]
    pub fn psql_program(&self) -> PathBuf {
        self.programs.path("psql")
    }

    /// Runs SQL in the database at `url`, and answers its rows: a line each, columns
    /// parted by `|`.
    ///
    /// # Panics
    ///
    /// When a statement fails.
    pub fn psql(&self, url: &str, sql: &str) -> String {
        let mut psql = std::process::Command::new(self.psql_program());
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]);
        self.programs.run(&mut psql)
    }

    /// Kills every process of the server at once, with SIGKILL, and waits until they
    /// are gone. Its data stay as they are.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn kill(&mut self) {
        self.process.take().expect("the server runs").kill();
    }

    /// Starts the server again at the same address, on the data that it left. It is
    /// stopped first where it runs, without waiting for its clients.
    ///
    /// # Panics
    ///
    /// When it does not start; with its log.
    pub fn restart(&mut self) {
        drop(self.process.take());
        match self.launch() {
            Ok(process) => self.process = Some(process),
            Err(log) => panic!("PostgreSQL does not start:\n{log}"),
        }
    }

    fn launch(&self) -> Result<Process, String> {
        let mut command = self.programs.command("postgres");
        command.arg("-D").arg(self.folder.path().join("data"));
        let settings = [
            format!("port={}", self.port()),
            format!("unix_socket_directories={}", self.folder.path().display()),
            "listen_addresses=127.0.0.1".to_owned(),
            "fsync=off".to_owned(),
            "full_page_writes=off".to_owned(),
            // the word that the process is ready is of this level, and in English
            "log_min_messages=log".to_owned(),
            "lc_messages=C".to_owned(),
        ];
        let tls = self.certificates.iter().flat_map(tls_settings);
        for setting in settings.into_iter().chain(tls) {
            command.args(["-c", &setting]);
        }
        command.stdout(Stdio::null());
        // an immediate shutdown: clients are cut off, shared memory is given back
        Process::start(command, READY, Signal::QUIT)
    }
}

/// The server's settings that turn TLS on.
fn tls_settings(certificates: &Certificates) -> [String; 3] {
    [
        "ssl=on".to_owned(),
        format!("ssl_cert_file={}", certificates.certificate.display()),
        format!("ssl_key_file={}", certificates.key.display()),
    ]
}
