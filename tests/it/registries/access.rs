//! Who may, and how the registry is reached: logins, tokens, TLS.

use flowctl_test_support::registry::{Access, IDENTITY_TOKEN, PASSWORD, Registry, TokenServer, Transport, USERNAME};
use libtest_mimic::Trial;
use tokio::runtime::Runtime;

use super::plugin;
use crate::fact;
use crate::flowctl::{Answer, Flowctl};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("registries::a_password_is_asked_for_kept_and_forgotten", password),
        fact("registries::a_credential_helper_keeps_the_login", helper),
        fact("registries::tokens_are_bought_with_a_password_or_an_identity_token", tokens),
        fact("registries::tls_needs_the_authority_and_plain_http_a_flag", tls),
    ]
}

/// No part of what was said has the password.
#[track_caller]
fn silent(answer: &Answer) {
    for text in [&answer.stdout, &answer.stderr] {
        assert!(!text.contains(PASSWORD) && !text.contains(IDENTITY_TOKEN), "{text}");
    }
}

fn password() {
    let registry = Registry::start_with(Transport::Plain, Access::Password);
    let host = registry.address().to_string();
    let flowctl = Flowctl::new();
    let push = format!("push {} {host}/acme/f:1", plugin("order-filter").display());

    let answer = flowctl.run(&push).failure(&["flowctl login", &host]);
    silent(&answer);
    let answer = flowctl.run_with_input(&format!("{push} --username {USERNAME} --password-stdin"), "wrong");
    answer.failure(&["flowctl login"]);
    let answer = flowctl.run_with_input(&format!("{push} --username {USERNAME} --password-stdin"), PASSWORD).success();
    silent(&answer);
    // that was for one command
    flowctl.run(&format!("pull {host}/acme/f:1")).failure(&["flowctl login"]);

    let login = format!("login {host} --username {USERNAME} --password-stdin");
    let answer = flowctl.run_with_input(&login, "wrong").failure(&[&host]);
    silent(&answer);
    assert!(!flowctl.path(".docker/config.json").exists(), "a login that is refused was kept");
    let answer = flowctl.run_with_input(&login, &format!("{PASSWORD}\n")).success();
    silent(&answer);
    assert!(answer.stderr.contains("unencrypted"), "{}", answer.stderr);
    let mode = std::os::unix::fs::MetadataExt::mode(&flowctl.path(".docker/config.json").metadata().unwrap());
    assert_eq!(mode & 0o777, 0o600);
    flowctl.run(&format!("pull {host}/acme/f:1")).success();
    flowctl.run(&format!("logout {host}")).success();
    assert!(!flowctl.read(".docker/config.json").contains(&host));
    flowctl.run(&format!("inspect {host}/acme/f:1")).failure(&["flowctl login"]);
    flowctl.run_with_input(&login, "").failure(&["no password"]);
}

fn helper() {
    let registry = Registry::start_with(Transport::Plain, Access::Password);
    let host = registry.address().to_string();
    let flowctl = Flowctl::new();
    // keeps one login in a file of its own
    let script = "#!/bin/sh\nset -e\ncase $1 in\nstore) cat > kept.json;;\nget) cat > /dev/null; cat kept.json;;\n\
                  erase) cat > /dev/null; rm kept.json;;\nesac\n";
    let program = flowctl.write("bin/docker-credential-test", script);
    let mode: std::fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    flowctl.write(".docker/config.json", "{\"credsStore\": \"test\", \"other\": 1}");
    let path = format!("{}:{}", flowctl.path("bin").display(), std::env::var("PATH").unwrap());
    let run = |arguments: &str, input: &str| {
        let mut command = flowctl.command(arguments);
        command.env("PATH", &path).stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
        Answer::of(child.wait_with_output().unwrap())
    };
    let answer = run(&format!("login {host} -u {USERNAME} --password-stdin"), PASSWORD).success();
    assert!(answer.stderr.contains("`docker-credential-test` keeps it"), "{}", answer.stderr);
    assert!(flowctl.read("kept.json").contains(PASSWORD));
    assert_eq!(flowctl.read(".docker/config.json").matches(USERNAME).count(), 0);
    let pushed = run(&format!("push {} {host}/acme/f:1", plugin("order-filter").display()), "").success();
    silent(&pushed);
    run(&format!("logout {host}"), "").success();
    assert!(!flowctl.path("kept.json").exists());
    assert!(flowctl.read(".docker/config.json").contains("\"other\""));
}

fn tokens() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(TokenServer::start());
    let registry = Registry::start_with(Transport::Plain, Access::Tokens(&server));
    let host = registry.address().to_string();
    let flowctl = Flowctl::new();
    let push = format!("push {} {host}/acme/f:1", plugin("order-filter").display());
    flowctl.run_with_input(&format!("{push} --username {USERNAME} --password-stdin"), PASSWORD).success();
    // the public part is open to anyone, this is not
    flowctl.run(&format!("pull {host}/acme/f:1")).failure(&["flowctl login"]);

    let identity = format!("{{\"auths\": {{\"{host}\": {{\"identitytoken\": \"{IDENTITY_TOKEN}\"}}}}}}");
    flowctl.write(".docker/config.json", identity);
    silent(&flowctl.run(&format!("pull {host}/acme/f:1")).success());
    let asked = server.requests();
    assert!(asked.iter().any(|request| request.method == "POST"), "no identity token was traded");

    let bearer = server.token("repository:acme/f:pull");
    let other = Flowctl::new();
    other.run_with_input(&format!("pull {host}/acme/f:1 --token-stdin"), &bearer).success();
    // a token that wore out is bought anew
    server.issue_stale(1);
    flowctl.run(&format!("inspect {host}/acme/f:1")).failure(&["acme/f"]);
    flowctl.run(&format!("inspect {host}/acme/f:1")).success();
}

fn tls() {
    let registry = Registry::start_with(Transport::Tls, Access::Anyone);
    let host = registry.address().to_string();
    let flowctl = Flowctl::new();
    let push = format!("push {} {host}/acme/f:1", plugin("order-filter").display());
    flowctl.run(&push).failure(&["--ca-file"]);
    flowctl.run(&format!("{push} --ca-file {}", registry.other_ca_file().display())).failure(&[&host]);
    flowctl.run(&format!("{push} --ca-file nowhere.pem")).failure(&["nowhere.pem"]);
    flowctl.run(&format!("{push} --ca-file {}", registry.ca_file().display())).success();
    let config = format!("ca_files: [{}]\n", registry.ca_file().display());
    flowctl.write(".config/flowctl/config.yaml", config);
    flowctl.run(&format!("pull {host}/acme/f:1")).success();
    // beyond this machine nothing is sent without TLS: no plain question was asked
    let answer = flowctl.run("pull registry.invalid/acme/f:1").failure(&["registry.invalid", "--insecure"]);
    assert!(!answer.stderr.contains("http://"), "{}", answer.stderr);
}
