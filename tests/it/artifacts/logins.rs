//! Logins by name and password: for one command, kept by docker's file, kept by a helper.
//! No secret is ever seen where others look.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use flowctl_test_support::registry::{Access, PASSWORD, USERNAME};
use flowctl_test_support::write_program;
use libtest_mimic::Trial;

use super::market::{Market, assert_nothing_held, held, order_filter, run_orders, store};
use crate::fact;
use crate::flowctl::{Answer, Flowctl};
use crate::terminal::Terminal;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("artifacts::a_password_from_stdin_is_for_one_command", for_one_command),
        fact("artifacts::who_is_not_let_in_is_told_and_keeps_nothing", not_let_in),
        fact("artifacts::a_login_is_tried_then_kept_in_dockers_file", kept_in_a_file),
        fact("artifacts::what_docker_kept_is_used_and_the_rest_of_its_file_stays", of_docker),
        fact("artifacts::a_credential_helper_keeps_logins_and_its_secrets_stay_with_it", helper),
        fact("artifacts::a_helper_that_fails_is_named_without_what_it_knows", failing_helper),
        fact("artifacts::ctrl_c_at_the_password_leaves_a_terminal_that_shows_what_is_typed", interrupted),
        fact("artifacts::a_password_is_in_no_log_no_error_and_no_process_list", unseen),
    ]
}

/// The options that bring the password.
const LOGIN: &str = "--username flowctl --password-stdin";

/// Runs with the password at standard input, and sees that it is not repeated.
pub(super) fn with_password(flowctl: &Flowctl, arguments: &str, password: &str) -> Answer {
    unseen_in(flowctl.run_with_input(arguments, password))
}

/// What was said, without a secret in it.
pub(super) fn unseen_in(answer: Answer) -> Answer {
    use flowctl_test_support::registry::IDENTITY_TOKEN;
    for said in [&answer.stdout, &answer.stderr] {
        for secret in [PASSWORD, IDENTITY_TOKEN, "Zmxvd2N0bDpodW50ZXIy"] {
            assert!(!said.contains(secret), "a secret is shown: {said}");
        }
    }
    answer
}

fn locked() -> Market {
    let market = Market::with(Access::Password);
    market.flowctl.write("pushed.wasm", order_filter());
    market
}

fn for_one_command() {
    let market = locked();
    let reference = market.at("acme/a:1");
    with_password(&market.flowctl, &format!("push pushed.wasm {reference} {LOGIN}"), PASSWORD).success();
    with_password(&market.flowctl, &format!("inspect {reference} {LOGIN}"), &format!("{PASSWORD}\n")).success();
    with_password(&market.flowctl, &format!("pull {reference} {LOGIN}"), &format!("{PASSWORD}\r\n")).success();
    assert_eq!(held(&market.flowctl).len(), 1);
    fs::remove_dir_all(store(&market.flowctl)).unwrap();
    market.pipeline(&format!("plugin: '{reference}'"));
    with_password(&market.flowctl, &format!("run orders.yaml {LOGIN}"), PASSWORD).success();
    assert!(!market.flowctl.path(".docker").exists());
    fs::remove_dir_all(store(&market.flowctl)).unwrap();
    market.pull("acme/a:1").failure(&["denies access to `acme/a`"]);
}

fn not_let_in() {
    let market = locked();
    let reference = market.at("acme/a:1");
    let host = market.proxy.address();
    let denied = format!("registry `{host}` denies access to `acme/a`");
    let hint = format!("`flowctl login {host}` keeps credentials");
    for command in
        [format!("push pushed.wasm {reference}"), format!("pull {reference}"), format!("inspect {reference}")]
    {
        market.flowctl.run(&command).failure(&[&denied, &hint]);
        with_password(&market.flowctl, &format!("{command} {LOGIN}"), "wrong").failure(&[&denied, &hint]);
        with_password(&market.flowctl, &format!("{command} {LOGIN}"), "")
            .failure(&["standard input holds no password"]);
        let usage = market.flowctl.run(&format!("{command} --username flowctl"));
        assert_eq!(usage.code, Some(2), "{}", usage.stderr);
    }
    assert_nothing_held(&market.flowctl);
    let answer = with_password(&market.flowctl, &format!("login {host} -u flowctl --password-stdin"), "wrong");
    answer.failure(&["denies access"]);
    market.flowctl.run(&format!("login {host} -u flowctl")).failure(&["no terminal", "--password-stdin"]);
    assert!(!market.flowctl.path(".docker").exists());
}

fn kept_in_a_file() {
    let market = locked();
    let host = market.proxy.address();
    let login = format!("login {host} -u {USERNAME} --password-stdin");
    let answer = with_password(&market.flowctl, &login, PASSWORD).success();
    assert!(answer.stderr.contains("unencrypted in `"), "{}", answer.stderr);
    let file = market.flowctl.path(".docker/config.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let auth = flowctl_test_support::base64(format!("{USERNAME}:{PASSWORD}").as_bytes());
    assert_eq!(kept["auths"][host.to_string()]["auth"], auth);
    let reference = market.at("acme/a:1");
    unseen_in(market.flowctl.run(&format!("push pushed.wasm {reference}"))).success();
    market.pipeline(&format!("plugin: '{reference}'"));
    unseen_in(run_orders(&market.flowctl, ""));
    assert!(market.flowctl.run(&format!("logout {host}")).success().stderr.contains("Logged out"));
    assert!(market.flowctl.run(&format!("logout {host}")).success().stderr.contains("No login"));
    assert!(!market.flowctl.read(".docker/config.json").contains(&auth));
    // what is here is used by whoever has it
    run_orders(&market.flowctl, "");
    market.pull("acme/a:1").failure(&["denies access"]);
}

fn of_docker() {
    let market = locked();
    let host = market.proxy.address();
    let auth = flowctl_test_support::base64(format!("{USERNAME}:{PASSWORD}").as_bytes());
    let text =
        format!(r#"{{"HttpHeaders": {{"X": "y"}},  "auths": {{"{host}": {{"auth": "{auth}", "email": "a@b"}}}}}}"#);
    market.flowctl.write("elsewhere/config.json", &text);
    let command = |arguments: &str| {
        let mut command = market.flowctl.command(arguments);
        unseen_in(Answer::of(command.env("DOCKER_CONFIG", "elsewhere").output().unwrap()))
    };
    command(&format!("push pushed.wasm {}", market.at("acme/a:1"))).success();
    command(&format!("pull {}", market.at("acme/a:1"))).success();
    assert_eq!(market.flowctl.read("elsewhere/config.json"), text);
    command(&format!("logout {host}")).success();
    let left = market.flowctl.read("elsewhere/config.json");
    assert!(left.contains("HttpHeaders") && !left.contains(&auth), "{left}");
    market.flowctl.write("elsewhere/config.json", format!(r#"{{"auths": {{"{host}": {{"auth": "{auth}"}}}}, x}}"#));
    command(&format!("pull {}", market.at("acme/b:1"))).failure(&["elsewhere/config.json", "line 1"]);
}

/// A helper that keeps a login in a file, and notes how it was called, by whom, and with
/// which environment.
const HELPER: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
tr '\0' ' ' < /proc/$PPID/cmdline >> seen
tr '\0' ' ' < /proc/$$/cmdline >> seen
env >> seen
case $1 in
store) cat > kept ;;
erase) rm -f kept ;;
get) if [ -f kept ]; then cat kept; else echo "credentials not found in native keychain"; exit 1; fi ;;
esac
"#;

/// Runs with programs of `bin` in the search path.
fn with_helpers(flowctl: &Flowctl, arguments: &str, stdin: &str) -> Answer {
    let mut command = flowctl.command(arguments);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", flowctl.path("bin").display()));
    flowctl.write("stdin", stdin);
    command.stdin(fs::File::open(flowctl.path("stdin")).unwrap());
    unseen_in(Answer::of(command.output().unwrap()))
}

fn helper_named(market: &Market, text: &str) {
    let program = market.flowctl.path("bin/docker-credential-vault");
    fs::create_dir_all(market.flowctl.path("bin")).unwrap();
    write_program(&program, text).unwrap();
}

fn helper() {
    let host_only = |host: &str| format!(r#"{{"credHelpers": {{"{host}": "vault"}}}}"#);
    let for_all = |_: &str| r#"{"credsStore": "vault"}"#.to_owned();
    let configurations: [&dyn Fn(&str) -> String; 2] = [&host_only, &for_all];
    for configuration in configurations {
        let market = locked();
        let host = market.proxy.address().to_string();
        helper_named(&market, HELPER);
        let before = configuration(&host);
        market.flowctl.write(".docker/config.json", &before);
        let push = format!("push pushed.wasm {}", market.at("acme/a:1"));
        with_helpers(&market.flowctl, &push, "").failure(&["denies access"]);
        let login = format!("login {host} -u {USERNAME} --password-stdin");
        let answer = with_helpers(&market.flowctl, &login, PASSWORD).success();
        assert!(answer.stderr.contains("`docker-credential-vault` keeps it"), "{}", answer.stderr);
        assert!(market.flowctl.read("bin/kept").contains(PASSWORD));
        with_helpers(&market.flowctl, &push, "").success();
        with_helpers(&market.flowctl, &format!("pull {}", market.at("acme/a:1")), "").success();
        assert!(!market.flowctl.read(".docker/config.json").contains("auth\""));
        // neither arguments nor environment of flowctl and the helper have it
        let seen = market.flowctl.read("bin/seen");
        assert!(seen.contains("flowctl push") || seen.contains("push pushed.wasm"), "{seen}");
        assert!(!seen.contains(PASSWORD), "{seen}");
        with_helpers(&market.flowctl, &format!("logout {host}"), "").success();
        assert!(!market.flowctl.path("bin/kept").exists());
        with_helpers(&market.flowctl, &push, "").failure(&["denies access"]);
    }
}

fn failing_helper() {
    let market = locked();
    let host = market.proxy.address();
    market.flowctl.write(".docker/config.json", format!(r#"{{"credHelpers": {{"{host}": "vault"}}}}"#));
    let pull = format!("pull {}", market.at("acme/a:1"));
    for (text, wanted) in [
        (None, "hint: install `docker-credential-vault`"),
        (Some("#!/bin/sh\necho hunter2-is-secret\n"), "docker-credential-vault"),
        (Some("#!/bin/sh\necho the vault is shut >&2\nexit 1\n"), "the vault is shut"),
        (Some("#!/bin/sh\nyes hunter2-is-secret\n"), "docker-credential-vault"),
    ] {
        if let Some(text) = text {
            helper_named(&market, text);
        }
        let answer = with_helpers(&market.flowctl, &pull, "");
        answer.failure(&[wanted, &format!("the credentials for registry `{host}` cannot be read")]);
    }
    assert_nothing_held(&market.flowctl);
}

fn unseen() {
    use flowctl_test_support::fault_proxy::{Fault, Gate, Rule};
    let market = locked();
    let gate = Gate::new();
    market.proxy.inject(Rule::new(Fault::Hold(gate.clone())).method("PUT").path("/manifests/").times(1));
    let mut push = market.flowctl.command(&format!("push pushed.wasm {} {LOGIN}", market.at("acme/a:1")));
    push.env("FLOWCTL_LOG", "trace").env("RUST_LOG", "trace").stdin(std::process::Stdio::piped());
    let mut push = push.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let pid = push.id();
    std::io::Write::write_all(&mut push.stdin.take().unwrap(), PASSWORD.as_bytes()).unwrap();
    let watch = std::thread::spawn(move || unseen_in(Answer::of(push.wait_with_output().unwrap())));
    // while it works, and has shown the password to the registry
    market.runtime.block_on(gate.was_reached(1));
    for file in ["cmdline", "environ"] {
        let shown = fs::read(format!("/proc/{pid}/{file}")).unwrap();
        let shown = String::from_utf8_lossy(&shown);
        assert!(!shown.contains(PASSWORD), "{file}: {shown}");
    }
    gate.open();
    let answer = watch.join().unwrap().success();
    assert!(answer.stderr.contains("TRACE") || answer.stderr.contains("DEBUG"), "{}", answer.stderr);
    let basic = flowctl_test_support::base64(format!("{USERNAME}:{PASSWORD}").as_bytes());
    assert!(!answer.stderr.contains(&basic));
    assert!(
        market
            .proxy
            .passages()
            .iter()
            .any(|passage| passage.header("authorization") == Some(&format!("Basic {basic}")))
    );
}

fn interrupted() {
    let flowctl = Flowctl::new();
    let terminal = Terminal::new(&flowctl);
    let login = flowctl.command("login registry.example --username ada");
    terminal.start_and(&login, "; echo \"code: $?\"");
    terminal.shows(&["Password of ada at registry.example:"]);
    terminal.types(PASSWORD);
    terminal.press("C-c");
    terminal.shows(&["no password was given", "code: 1"]);
    assert!(!terminal.has_ended().contains(PASSWORD));
    terminal.types("seen again");
    terminal.shows(&["next> seen again"]);
}
