//! `flowctl doctor`: each state of a machine is made for real, told with its remedy, and
//! gone where the remedy was carried out.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use flowctl_test_support::http_server::{HttpServer, Reply};
use flowctl_test_support::registry::{Access, PASSWORD, Registry, Transport, USERNAME};
use flowctl_test_support::{Certificates, Port, postgres, write_program};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::control_plane::server::Server;
use crate::delivery::SmallDisk;
use crate::fact;
use crate::flowctl::{Answer, Flowctl, plugins};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("doctor::a_sound_machine_passes_and_nothing_on_it_changes", sound),
        fact("doctor::the_report_for_programs_has_one_form", form),
        fact("doctor::the_report_for_people_fits_eighty_columns", columns),
        fact("doctor::a_port_that_another_server_has_is_told_with_its_name", taken_port),
        fact("doctor::a_port_that_a_control_plane_has_is_told_with_its_version", port_of_a_control_plane),
        fact("doctor::a_port_that_speaks_tls_is_told_and_whose_it_is_where_that_is_known", port_with_tls),
        fact("doctor::a_control_plane_is_asked_with_the_credentials_of_the_caller", control_plane),
        fact("doctor::a_control_plane_that_hangs_is_waited_for_once", silent_control_plane),
        fact("doctor::a_toolchain_is_not_installed_by_asking_for_it", toolchain),
        fact("doctor::a_folder_that_cannot_be_made_is_told", unwritable),
        fact("doctor::a_relative_folder_that_is_not_there_yet_is_no_failure", later),
        fact("doctor::a_full_disk_is_told", full_disk),
        fact("doctor::code_that_others_could_change_is_told", foreign_cache),
        fact("doctor::a_damaged_plugin_of_the_store_is_mended_by_the_remedy", damaged_plugin),
        fact("doctor::a_damaged_database_is_told", damaged_database),
        fact("doctor::what_a_node_keeps_is_looked_at_too", of_nodes),
        fact("doctor::databases_of_tenants_are_checked_under_their_names", tenants),
        fact("doctor::a_registry_that_refuses_is_opened_by_the_remedy", refusing_registry),
        fact("doctor::a_registry_that_does_not_answer_costs_five_seconds", silent_registry),
        fact("doctor::a_credential_helper_is_asked_once_and_told_from_its_registry", helper),
        fact("doctor::files_for_registries_that_cannot_be_read_are_told", unreadable_files),
        fact("doctor::little_address_space_is_told", address_space),
        fact("doctor::few_open_files_are_told", open_files),
        fact("doctor::a_file_that_is_no_plugin_is_told", no_plugin),
        fact("doctor::a_variable_that_is_missing_is_named", missing_variable),
        fact("doctor::what_a_variable_holds_is_not_shown_by_a_fault", hidden_values),
        fact("doctor::what_the_nodes_of_a_pipeline_touch_is_tried", nodes),
        fact("doctor::faults_of_a_pipeline_are_told_each", faults),
        fact("doctor::a_database_that_does_not_run_is_told_without_its_password", stopped_postgres),
        fact("doctor::a_plugin_of_a_registry_is_looked_for_and_not_pulled", pullable),
    ]
}

/// What `doctor` says, and how it ended.
struct Said {
    checks: Vec<Value>,
    answer: Answer,
}

impl Said {
    fn of(answer: Answer) -> Self {
        assert!(matches!(answer.code, Some(0 | 1)), "{:?}: {}", answer.code, answer.stderr);
        let report: Value =
            serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {}", answer.stdout));
        let checks = report["checks"].as_array().unwrap().clone();
        let has_failed = checks.iter().any(|check| check["state"] == "failed");
        assert_eq!(answer.code == Some(1), has_failed, "{}", answer.stdout);
        Self { checks, answer }
    }

    /// The check of this name whose finding has these words.
    #[track_caller]
    fn check(&self, name: &str, words: &str) -> &Value {
        let found = self
            .checks
            .iter()
            .find(|check| check["name"] == name && check["found"].as_str().is_some_and(|found| found.contains(words)));
        found.unwrap_or_else(|| panic!("no `{name}` with `{words}`: {}", self.answer.stdout))
    }

    /// Sees that a check is so, and has this remedy.
    #[track_caller]
    fn has(&self, name: &str, state: &str, words: &str, remedy: &str) {
        let check = self.check(name, words);
        assert_eq!(check["state"], state, "{check}");
        let said = check["remedy"].as_str().unwrap_or_default();
        assert!(if remedy.is_empty() { said.is_empty() } else { said.contains(remedy) }, "{check}");
    }

    /// The names of what failed.
    fn failed(&self) -> Vec<&str> {
        let failed = self.checks.iter().filter(|check| check["state"] == "failed");
        failed.map(|check| check["name"].as_str().unwrap()).collect()
    }
}

fn doctor(flowctl: &Flowctl, arguments: &str) -> Said {
    Said::of(flowctl.run(&format!("doctor -o json {arguments}")))
}

fn doctor_with(flowctl: &Flowctl, arguments: &str, variables: &[(&str, &str)]) -> Said {
    let mut command = flowctl.command(&format!("doctor -o json {arguments}"));
    Said::of(Answer::of(command.envs(variables.iter().copied()).output().unwrap()))
}

/// The same in a shell that has set a limit.
fn limited(limit: &str) -> Said {
    let flowctl = Flowctl::new();
    let like = flowctl.command("doctor -o json");
    let mut command = Command::new("sh");
    let program = like.get_program().to_str().unwrap();
    command
        .arg("-c")
        .arg(format!("{limit}; exec {program} doctor -o json"))
        .current_dir(like.get_current_dir().unwrap());
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    Said::of(Answer::of(command.stdin(Stdio::null()).output().unwrap()))
}

/// Every file below a folder, with its size and when it changed.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        // memory that all who have a database open share, as a file
        if entry.path().extension().is_some_and(|extension| extension == "db-shm") {
            continue;
        }
        found.push(format!("{} {} {:?}", entry.path().display(), metadata.len(), metadata.modified().unwrap()));
        if metadata.is_dir() {
            found.extend(files(&entry.path()));
        }
    }
    found.sort();
    found
}

const ORDERS: &str = "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: orders}
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1, count: 10}}]
  sinks: [{id: out, type: blackhole, inputs: [orders]}]
";

fn sound() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.yaml", ORDERS);
    flowctl.run("run orders.yaml").success();
    let before = files(&flowctl.path("."));
    let said = doctor_with(&flowctl, "orders.yaml", &[("FLOWCTL_PLUGINS", plugins().to_str().unwrap())]);
    assert_eq!(files(&flowctl.path(".")), before);
    assert_eq!(said.failed(), Vec::<&str>::new(), "{}", said.answer.stdout);
    said.has("flowctl", "ok", env!("CARGO_PKG_VERSION"), "");
    said.has("compiler", "ok", "an empty plugin took", "");
    said.has("orders", "ok", "is sound", "");
    said.has("control plane", "skipped", "FLOWCTL_ENDPOINT says `none`", "");
    said.has("plan", "ok", "2 nodes, 1 edges", "");
    let name = format!("`{}`", plugins().display());
    said.has(&name, "ok", "order-filter", "");
}

fn form() {
    let answer = Flowctl::new().run("doctor -o json").success();
    let report: Value = serde_json::from_str(&answer.stdout).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(keys(&report), named(&["flowctl", "counts", "checks"]));
    let checks = report["checks"].as_array().unwrap();
    let mut groups: Vec<&str> = checks.iter().map(|check| check["group"].as_str().unwrap()).collect();
    groups.dedup();
    assert_eq!(groups, ["versions", "machine", "folders", "control-plane", "registries", "plugins", "state"]);
    let mut total = 0;
    for state in ["ok", "note", "warning", "failed", "skipped"] {
        let n = checks.iter().filter(|check| check["state"] == state).count();
        assert_eq!(report["counts"][state], n, "{state}");
        total += n;
    }
    assert_eq!(total, checks.len());
    for check in checks {
        assert_eq!(keys(check), named(&["group", "name", "state", "code", "found", "remedy"]), "{check}");
    }
}

fn columns() {
    let flowctl = Flowctl::new();
    let report = flowctl.run("doctor").success();
    for heading in ["Versions", "Machine", "Folders", "Control plane", "Registries", "Plugins", "State"] {
        assert!(report.stdout.lines().any(|line| line == heading), "{heading}: {}", report.stdout);
    }
    // paths and remedies stay whole, so that they can be copied
    let has_path = |line: &&str| line.contains('/') || line.contains("remedy: ");
    let long = report.stdout.lines().find(|line| line.chars().count() > 80 && !has_path(line));
    assert_eq!(long, None);
    assert!(report.stderr.contains(" ok, ") && report.stderr.contains("0 failed"), "{}", report.stderr);
}

fn taken_port() {
    let flowctl = Flowctl::new();
    let taken = Port::take();
    let listener = TcpListener::bind(taken.address()).unwrap();
    let port = taken.address().port();
    let said = doctor(&flowctl, &format!("--port {port}"));
    let name = format!("port {port}");
    said.has(&name, "failed", "taken by something that is no control plane", &format!("ss -ltnp 'sport = :{port}'"));
    drop(listener);
    doctor(&flowctl, &format!("--port {port}")).has(&name, "ok", "free", "");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let answer = Reply::Answer { status: 404, headers: vec![("Server", "web/1".to_owned())], body: Vec::new() };
    let server = runtime.block_on(HttpServer::start(move |_| answer.clone()));
    let port = server.address().port();
    doctor(&flowctl, &format!("--port {port}")).has(
        &format!("port {port}"),
        "failed",
        "an HTTP server, `web/1`",
        "ss -ltnp",
    );
    runtime.block_on(async { drop(server) });
}

fn port_of_a_control_plane() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    let port = server.address().rsplit(':').next().unwrap();
    let said = doctor(&flowctl, &format!("--port {port}"));
    let words = format!("a control plane of flowctl {} answers", env!("CARGO_PKG_VERSION"));
    said.has(&format!("port {port}"), "failed", &words, "take another port");
}

fn port_with_tls() {
    let flowctl = Flowctl::new();
    let certificates = Certificates::make(&flowctl.path(""), &["localhost", "127.0.0.1"]);
    let (certificate, key) = (certificates.certificate.display(), certificates.key.display());
    let server = Server::new(&flowctl, &format!("--tls-cert {certificate} --tls-key {key}")).and_start();
    let port = server.address().rsplit(':').next().unwrap();
    let (name, arguments) = (format!("port {port}"), format!("--port {port}"));
    let said = doctor(&flowctl, &arguments);
    said.has(&name, "failed", "taken by something that does not speak plain text, perhaps TLS", "ss -ltnp");
    let (endpoint, ca) = (format!("https://127.0.0.1:{port}"), certificates.authority.display().to_string());
    let said = doctor_with(&flowctl, &arguments, &[("FLOWCTL_ENDPOINT", &endpoint), ("FLOWCTL_CA", &ca)]);
    let words = format!("a control plane of flowctl {} answers", env!("CARGO_PKG_VERSION"));
    said.has(&name, "failed", &words, "take another port");
}

fn silent_control_plane() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.yaml", ORDERS);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // whoever connects is kept, and not answered: who it is, what time it is, and the pipeline's plan
    let accepting = std::thread::spawn(move || {
        let connections = [(); 3].map(|()| (listener.accept().unwrap(), Instant::now()));
        (connections[2].1 - connections[0].1, connections, listener)
    });
    let said = doctor_with(&flowctl, "orders.yaml", &[("FLOWCTL_ENDPOINT", &address)]);
    said.has("control plane", "failed", &format!("nobody answers at `{address}` within 5 s"), "FLOWCTL_ENDPOINT");
    said.has("plan", "ok", "2 nodes, 1 edges", "");
    // had it not connected so often, the test is to fail, not to wait
    let _late = [(); 3].map(|()| TcpStream::connect(&address).unwrap());
    let (apart, ..) = accepting.join().unwrap();
    assert!(apart < Duration::from_secs(5), "it waited for one before it asked the next: {apart:?}");
}

fn toolchain() {
    let flowctl = Flowctl::new();
    let path = with_program(&flowctl, "rustc", "#!/bin/sh\necho \"rustc 99.0.0 (installs: $RUSTUP_AUTO_INSTALL)\"\n");
    doctor_with(&flowctl, "", &[("PATH", &path)]).has("Rust", "ok", "rustc 99.0.0 (installs: 0)", "");
}

/// Writes a program; answers the search path that finds it first.
fn with_program(flowctl: &Flowctl, name: &str, text: &str) -> String {
    std::fs::create_dir_all(flowctl.path("bin")).unwrap();
    write_program(&flowctl.path("bin").join(name), text).unwrap();
    format!("{}:{}", flowctl.path("bin").display(), std::env::var("PATH").unwrap())
}

fn control_plane() {
    let flowctl = Flowctl::new();
    let mut server = Server::start(&flowctl);
    let asked = |token: &str| {
        let variables = [("FLOWCTL_ENDPOINT", server.address()), ("FLOWCTL_TOKEN", token)];
        doctor_with(&flowctl, "--state-dir host", &variables)
    };
    let said = asked("");
    said.has("control plane", "ok", "tenant default as admin, without credentials", "");
    said.has("control plane", "ok", "sound", "");
    said.has("control plane locks", "ok", "1 process has it open", "");
    said.has("clock", "ok", &format!("of what `{}` says", server.address()), "");
    let token = flowctl.run("tokens create --state-dir host --tenant default --role viewer").success().stdout;
    let said = asked(token.trim());
    said.has("control plane", "ok", "as viewer, with the token of FLOWCTL_TOKEN", "");
    assert!(!said.answer.stdout.contains(token.trim()) && !said.answer.stderr.contains(token.trim()));
    let wrong = format!("{}x", token.trim());
    let said = asked(&wrong);
    said.has("control plane", "failed", "with the token of FLOWCTL_TOKEN", "FLOWCTL_TOKEN");
    assert!(!said.answer.stdout.contains(&wrong));
    let address = server.address().to_owned();
    server.kill();
    let said = doctor_with(&flowctl, "--state-dir host", &[("FLOWCTL_ENDPOINT", &address)]);
    said.has("control plane", "failed", "no control plane answers", "`flowctl serve` starts one");
    said.has("control plane locks", "note", "1 lock of processes that were killed", "");
}

fn unwritable() {
    let flowctl = Flowctl::new();
    let file = flowctl.write("file", "no folder");
    let said = doctor(&flowctl, "--state-dir file/state");
    said.has("state", "failed", "/file`: ", "`--state-dir DIR`");
    assert_eq!(std::fs::read(file).unwrap(), b"no folder");
    let disk = SmallDisk::mount(flowctl.path("disk")).unwrap();
    disk.remount("remount,ro");
    let said = doctor(&flowctl, "--state-dir disk/state");
    said.has("state", "failed", "/disk`: Read-only file system", "`--state-dir DIR`");
}

fn later() {
    let flowctl = Flowctl::new();
    let said = doctor(&flowctl, "--state-dir mine");
    let check = said.check("state", "`mine`, which is made when it is needed");
    assert_ne!(check["state"], "failed", "{check}");
    assert!(!flowctl.path("mine").exists());
}

fn full_disk() {
    let flowctl = Flowctl::new();
    let disk = SmallDisk::mount(flowctl.path("disk")).unwrap();
    let said = doctor(&flowctl, "--state-dir disk/state");
    // one mebibyte is too little, though it can be written to
    said.has("state", "failed", "1.0 MiB free", "make room");
    let filled = std::fs::write(flowctl.path("disk/all"), vec![0; 2 << 20]);
    assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    let said = doctor(&flowctl, "--state-dir disk/state");
    said.has("state", "failed", "/disk`: No space left on device", "make room: `df -h /");
    drop(disk);
}

fn foreign_cache() {
    let flowctl = Flowctl::new();
    let dir = flowctl.path("cache/flowctl/compiled");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    let cache = flowctl.path("cache").display().to_string();
    let said = doctor_with(&flowctl, "", &[("XDG_CACHE_HOME", &cache)]);
    said.has("compiled plugins", "warning", "(mode 777)", &format!("chmod go-w {}", dir.display()));
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = doctor_with(&flowctl, "", &[("XDG_CACHE_HOME", &cache)]);
    assert!(!said.checks.iter().any(|check| check["found"].as_str().unwrap().contains("others may write")));
}

fn damaged_plugin() {
    let flowctl = Flowctl::new();
    let registry = Registry::start();
    let reference = format!("{}/acme/filter:1", registry.address());
    let plugin = plugins().join("order-filter.wasm");
    flowctl.run(&format!("push --quiet {} {reference}", plugin.display())).success();
    flowctl.run(&format!("pull --no-compile --quiet {reference}")).success();
    let held: Value = serde_json::from_str(&flowctl.run("plugins list -o json").success().stdout).unwrap();
    let path = held[0]["path"].as_str().unwrap();
    let whole = std::fs::read(path).unwrap();
    doctor(&flowctl, "--deep").has("store", "ok", "1 artifact of", "");
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(path, &changed).unwrap();
    doctor(&flowctl, "").has("store", "ok", "`--deep` checks digests", "");
    let said = doctor(&flowctl, "--deep");
    let remedy = format!("flowctl pull {reference}");
    said.has("store", "failed", &format!("`{reference}` is damaged: blob"), &remedy);
    std::fs::write(path, &whole[..1000]).unwrap();
    let said = doctor(&flowctl, "");
    said.has("store", "failed", &format!("`{reference}` is damaged: blob"), &remedy);
    let arguments = remedy.strip_prefix("flowctl ").unwrap();
    flowctl.run(&format!("{arguments} --no-compile")).success();
    doctor(&flowctl, "--deep").has("store", "ok", "every digest is right", "");
    std::fs::write(flowctl.path(".local/share/flowctl/plugins/index.json"), "no index").unwrap();
    doctor(&flowctl, "").has("store", "failed", "is no index of an OCI image layout", "pull again");
}

fn damaged_database() {
    let flowctl = Flowctl::new();
    let mut server = Server::start(&flowctl);
    server.terminate();
    let path = flowctl.path("host/host.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(database);
    doctor(&flowctl, "--state-dir host").has("control plane", "ok", "is sound", "");
    // a page in the middle of the file
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..12_288].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    let said = doctor(&flowctl, "--state-dir host");
    said.has(
        "control plane",
        "failed",
        "is damaged",
        &format!("restore `{}` from a copy, or remove it", "host/host.db"),
    );
    flowctl.write("orders.yaml", ORDERS);
    flowctl.run("run orders.yaml").success();
    flowctl.write("state/flowctl/orders/state.db", "no database".repeat(1000));
    let said = doctor(&flowctl, "");
    said.has("orders", "failed", "file is not a database", "the pipeline then starts over");
}

fn of_nodes() {
    let flowctl = Flowctl::new();
    let source = "type: http, config: {listen: '127.0.0.1:0', type: example.order.v1}";
    let generated = "type: generate, config: {type: example.order.v1, count: 10}";
    flowctl.write("orders.yaml", ORDERS.replace(generated, source));
    let mut server = Server::start(&flowctl);
    server.run("run orders.yaml --detach").success();
    server.terminate();
    let said = doctor(&flowctl, "--state-dir host");
    said.has("orders/nodes/orders", "ok", "spool.sqlite` is sound", "");
    // the log of a source that was told to end has pages that count before the file's
    for log in ["spool.sqlite-wal", "spool.sqlite-shm"] {
        let _ = std::fs::remove_file(flowctl.path(&format!("host/orders/nodes/orders/{log}")));
    }
    flowctl.write("host/orders/nodes/orders/spool.sqlite", "no database".repeat(1000));
    let said = doctor(&flowctl, "--state-dir host");
    said.has("orders/nodes/orders", "failed", "file is not a database", "no sink took yet, is lost with it");
}

fn tenants() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.yaml", ORDERS);
    flowctl.run("run orders.yaml --state-dir host/tenants/acme").success();
    doctor(&flowctl, "--state-dir host").has("acme/orders", "ok", "is sound", "");
    flowctl.write("host/tenants/acme/orders/state.db", "no database".repeat(1000));
    let said = doctor(&flowctl, "--state-dir host");
    said.has("acme/orders", "failed", "file is not a database", "the pipeline then starts over");
}

fn refusing_registry() {
    let flowctl = Flowctl::new();
    let registry = Registry::start_with(Transport::Plain, Access::Password);
    let address = registry.address().to_string();
    let asked = || doctor(&flowctl, &format!("--registry {address}"));
    asked().has(&address, "failed", "denies access", &format!("`flowctl login {address}` keeps credentials"));
    let login = format!("login {address} -u {USERNAME} --password-stdin");
    flowctl.run_with_input(&login, PASSWORD).success();
    let said = asked();
    said.has(&address, "ok", "it takes the login that is kept", "");
    said.has("logins", "ok", "has 1 login", "");
    said.has("clock", "ok", &format!("of what `{address}` says"), "");
    let path = flowctl.path(".docker/config.json");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = asked();
    said.has("logins", "warning", "others may read", &format!("chmod 600 {}", path.display()));
    for text in [&said.answer.stdout, &said.answer.stderr] {
        assert!(!text.contains(PASSWORD) && !text.contains("Zmxvd2N0bDpodW50ZXIy"), "a secret is shown: {text}");
    }
    drop(registry);
    asked().has(&address, "failed", "cannot be reached", "spelled right");
}

fn silent_registry() {
    let flowctl = Flowctl::new();
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap().to_string());
    let arguments = addresses.each_ref().map(|address| format!("--registry {address}")).join(" ");
    let begun = Instant::now();
    let said = doctor(&flowctl, &arguments);
    // all three at once: one after the other would be fifteen
    assert!(begun.elapsed() < Duration::from_secs(14), "{:?}", begun.elapsed());
    for address in &addresses {
        said.has(address, "failed", "does not answer within 5 s", "spelled right");
    }
}

fn helper() {
    let flowctl = Flowctl::new();
    let registry = Registry::start_with(Transport::Plain, Access::Password);
    let address = registry.address().to_string();
    flowctl.write(".docker/config.json", r#"{"credsStore": "vault"}"#);
    let asked = |text: &str| {
        let path = with_program(&flowctl, "docker-credential-vault", text);
        doctor_with(&flowctl, &format!("--registry {address}"), &[("PATH", &path)])
    };
    let (log, answer) = (flowctl.path("asked"), format!(r#"{{"Username": "{USERNAME}", "Secret": "{PASSWORD}"}}"#));
    let said = asked(&format!("#!/bin/sh\necho $1 >> '{}'\necho '{answer}'\n", log.display()));
    said.has(&address, "ok", "it takes the login that is kept", "");
    assert_eq!(flowctl.read("asked"), "get\n");
    let said = asked("#!/bin/sh\nexec sleep 600\n");
    let words = "`docker-credential-vault` did not answer `get`";
    said.has(&address, "failed", words, "it may wait for a key or a prompt");
}

fn unreadable_files() {
    let flowctl = Flowctl::new();
    flowctl.write(".docker/config.json", "{\"auths\": ");
    flowctl.write(".config/flowctl/policy.yaml", "rules: [{match: 'a b'}]");
    let said = doctor(&flowctl, "");
    assert_eq!(said.check("logins", "config.json")["state"], "failed");
    said.has("signatures", "failed", "policy.yaml", "is the form of a policy");
    said.has("settings", "ok", "no default registry", "");
    flowctl.write(".docker/config.json", r#"{"credsStore": "nowhere"}"#);
    flowctl.write(".config/flowctl/config.yaml", "registy: r.example");
    let said = doctor(&flowctl, "");
    said.has("logins", "failed", "credential helper `nowhere`", "install `docker-credential-nowhere`");
    said.has("settings", "failed", "registy", "known here: `registry`");
}

fn address_space() {
    let said = limited("ulimit -v 6000000");
    said.has(
        "address space",
        "warning",
        "`ulimit -v` is 5.7 GiB, too little for 1000 instances",
        "ulimit -v unlimited",
    );
    said.has("compiler", "ok", "an empty plugin took", "");
    let said = limited("ulimit -v 1000000");
    said.has("compiler", "failed", "", "ulimit -v unlimited");
}

fn open_files() {
    let said = limited("ulimit -n 128");
    said.has("open files", "failed", "`ulimit -n` is 128, of 128: a pipeline needs 256", "ulimit -n 65536, as root");
    let said = limited("ulimit -Sn 512");
    said.has("open files", "warning", "`ulimit -n` is 512", "ulimit -n ");
}

fn no_plugin() {
    let flowctl = Flowctl::new();
    let path = flowctl.write("mine/broken.wasm", "no component");
    let said = doctor(&flowctl, "--plugins mine");
    said.has("`mine`", "ok", "0 plugins", "");
    assert_eq!(said.check("`mine/broken.wasm`", "is no plugin")["state"], "warning");
    let said = doctor(&flowctl, &format!("--plugins {}", path.display()));
    assert_eq!(said.check(&format!("`{}`", path.display()), "is no plugin")["state"], "failed");
    let said = doctor(&flowctl, "--plugins nowhere");
    said.has("`nowhere`", "failed", "cannot read the plugin folder", "name an existing folder");
}

fn missing_variable() {
    let flowctl = Flowctl::new();
    flowctl.write("orders.yaml", ORDERS.replace("count: 10", "count: '${N_ORDERS}', rate: '${RATE:-7}'"));
    let said = doctor(&flowctl, "orders.yaml");
    said.has("variables", "failed", "not set: N_ORDERS", "export N_ORDERS=…");
    said.has("plan", "failed", "orders.yaml:5:", "set it, or write a default");
    let said = doctor_with(&flowctl, "orders.yaml", &[("N_ORDERS", "31337")]);
    said.has("variables", "ok", "N_ORDERS, RATE", "");
    assert!(!said.answer.stdout.contains("31337"), "a value is shown: {}", said.answer.stdout);
}

fn hidden_values() {
    let flowctl = Flowctl::new();
    let config = "type: postgres, config: {url: 'postgres://db.example/db', mode: upsert, key: '${TOKEN}'},";
    let text = ORDERS.replace("count: 10", "count: '${QUOTED}'").replace("type: blackhole,", config);
    flowctl.write("orders.yaml", text);
    let token = "eyJhbGciOiJIUzI1NiJ9.".repeat(3);
    let variables = [("QUOTED", "hush\"hush\\hush"), ("TOKEN", token.as_str())];
    let said = doctor_with(&flowctl, "orders.yaml", &variables);
    said.has("plan", "failed", "found \"${QUOTED}\"", "");
    said.has("plan", "failed", "expected a list (`list<string>`), found \"${TOKEN}\"", "");
    let mut validate = flowctl.command("validate orders.yaml");
    let validated = Answer::of(validate.envs(variables).output().unwrap()).failure(&["${QUOTED}", "${TOKEN}"]);
    for text in [&said.answer.stdout, &validated.stdout, &validated.stderr] {
        assert!(!text.contains("hush") && !text.contains("eyJ"), "a value is shown: {text}");
    }
}

/// A pipeline of a file into a file.
fn copy(from: &str, to: &str) -> String {
    format!(
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: copy}}
spec:
  sources: [{{id: in, type: file, config: {{path: {from}, type: example.order.v1}}}}]
  sinks: [{{id: out, type: file, inputs: [in], config: {{path: {to}}}}}]
"
    )
}

fn nodes() {
    let flowctl = Flowctl::new();
    flowctl.write("copy.yaml", copy("orders.jsonl", "there/out.jsonl"));
    let said = doctor(&flowctl, "copy.yaml");
    said.has("node in", "failed", "cannot read `", "ls -ld ");
    said.has("node out", "failed", "there is no folder `", "mkdir -p ");
    flowctl.write("orders.jsonl", "");
    let remedy = said.check("node out", "no folder")["remedy"].as_str().unwrap();
    assert!(Command::new("sh").args(["-c", remedy]).status().unwrap().success());
    let said = doctor(&flowctl, "copy.yaml");
    said.has("node in", "ok", "can be read, 0 B", "");
    said.has("node out", "ok", "can be made", "");
    flowctl.write("copy.yaml", copy("orders.jsonl", "a;touch ran/out.jsonl"));
    let said = doctor(&flowctl, "copy.yaml");
    let remedy = said.check("node out", "no folder")["remedy"].as_str().unwrap();
    let mend = Command::new("sh").args(["-c", remedy]).current_dir(flowctl.path("")).status().unwrap();
    assert!(mend.success() && flowctl.path("a;touch ran").is_dir() && !flowctl.path("ran").exists(), "{remedy}");
    let taken = Port::take();
    let listener = TcpListener::bind(taken.address()).unwrap();
    let port = taken.address().port();
    flowctl.write(
        "hook.yaml",
        format!(
            "apiVersion: flowctl/v1
kind: Pipeline
metadata: {{name: hook}}
spec:
  sources: [{{id: in, type: http, config: {{listen: '127.0.0.1:{port}', type: example.order.v1}}}}]
  sinks: [{{id: out, type: http, inputs: [in], config: {{url: 'http://127.0.0.1:{port}/'}}}}]
"
        ),
    );
    let said = doctor(&flowctl, "hook.yaml");
    said.has("node in", "failed", &format!("cannot listen at `127.0.0.1:{port}`"), "ss -ltnp");
    said.has("node out", "ok", &format!("`127.0.0.1:{port}` can be reached"), "");
    drop(listener);
    let said = doctor(&flowctl, "hook.yaml");
    said.has("node in", "ok", "is free", "");
    said.has("node out", "failed", &format!("cannot reach `127.0.0.1:{port}`"), "start the server");
}

fn faults() {
    let flowctl = Flowctl::new();
    let text = ORDERS.replace("example.order.v1", "example.ordre.v1").replace("type: blackhole", "type: blackhloe");
    flowctl.write("orders.yaml", text);
    let said = doctor(&flowctl, "orders.yaml");
    said.has("plan", "failed", "orders.yaml:5:", "example.order.v1");
    said.has("plan", "failed", "orders.yaml:6:", "blackhole");
    assert_eq!(said.check("plan", "orders.yaml:6:")["code"], "unknown-component");
    let said = doctor(&flowctl, "nowhere.yaml");
    said.has("file", "failed", "cannot read pipeline `nowhere.yaml`", "did you mean `orders.yaml`?");
}

fn stopped_postgres() {
    let flowctl = Flowctl::new();
    flowctl.write(
        "orders.yaml",
        ORDERS.replace("type: blackhole,", "type: postgres, config: {url: '${DB}', table: orders},"),
    );
    let mut server = postgres::Server::start();
    let url = server.url();
    let said = doctor_with(&flowctl, "orders.yaml", &[("DB", &url)]);
    said.has("node out", "ok", "logged in to PostgreSQL", "");
    let password = url.split(':').nth(2).unwrap().split('@').next().unwrap();
    let wrong = url.replace(password, "another");
    let said_wrong = doctor_with(&flowctl, "orders.yaml", &[("DB", &wrong)]);
    assert_eq!(said_wrong.check("node out", "cannot be used")["state"], "failed");
    server.kill();
    let said = doctor_with(&flowctl, "orders.yaml", &[("DB", &url)]);
    said.has(
        "node out",
        "failed",
        "cannot reach PostgreSQL",
        &format!("start the server at 127.0.0.1:{}", server.port()),
    );
    for said in [said, said_wrong] {
        assert!(!said.answer.stdout.contains(password), "a secret is shown: {}", said.answer.stdout);
    }
}

fn pullable() {
    let flowctl = Flowctl::new();
    let registry = Registry::start();
    let reference = format!("{}/acme/filter:1", registry.address());
    let plugin = plugins().join("order-filter.wasm");
    flowctl.run(&format!("push --quiet {} {reference}", plugin.display())).success();
    let through = |reference: &str| {
        ORDERS.replace(
            "  sinks: [{id: out, type: blackhole, inputs: [orders]}]",
            &format!(
                "  processors: [{{id: filter, plugin: '{reference}', inputs: [orders], config: {{minimum: 0}}}}]
  sinks: [{{id: out, type: blackhole, inputs: [filter]}}]"
            ),
        )
    };
    flowctl.write("orders.yaml", through(&reference));
    let name = format!("`{reference}`");
    let said = doctor(&flowctl, "orders.yaml");
    said.has(&name, "ok", "not here yet", &format!("flowctl pull {reference}"));
    said.has("plan", "skipped", "when all of its plugins are here", "");
    assert!(!flowctl.path(".local").exists(), "nothing is pulled");
    flowctl.run(&format!("pull --quiet {reference}")).success();
    let said = doctor(&flowctl, "orders.yaml");
    said.has(&name, "ok", "it is in the store", "");
    said.has("plan", "ok", "3 nodes, 2 edges", "");
    let missing = format!("{}/acme/fitler:1", registry.address());
    flowctl.write("orders.yaml", through(&missing));
    let said = doctor(&flowctl, "orders.yaml");
    said.has(&format!("`{missing}`"), "failed", "has no such plugin", "spelled right");
}
