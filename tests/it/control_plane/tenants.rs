//! Who may see and do what: tokens, certificates, tenants, and where a server may listen.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use flowctl_test_support::Certificates;
use libtest_mimic::Trial;
use serde_json::Value;

use super::policies::{run_as, token};
use super::server::{Server, until};
use crate::fact;
use crate::flowctl::{Answer, Flowctl};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("control_plane::a_token_that_is_not_enough_gets_nothing", tokens),
        fact("control_plane::a_role_does_no_more_than_it_may", roles),
        fact("control_plane::what_belongs_to_another_tenant_is_not_there", foreign),
        fact("control_plane::nothing_listens_beyond_this_machine_without_tls_and_credentials", beyond),
        fact("control_plane::tls_with_a_token_works_for_whom_trusts_its_authority", tls),
        fact("control_plane::a_certificate_is_a_credential", certificate),
    ]
}

const POLICY: &str = "tenants:
  acme: {connectors: ['*']}
  umbrella: {connectors: ['*']}
";

/// A pipeline `mine` without end.
fn write_endless(flowctl: &Flowctl) {
    flowctl.write(
        "mine.yaml",
        "apiVersion: flowctl/v1
kind: Pipeline
metadata: {name: mine}
spec:
  sources: [{id: orders, type: generate, config: {type: example.order.v1, rate: 100}}]
  sinks: [{id: out, type: blackhole, inputs: [orders]}]
",
    );
}

/// What HTTP answers, head and body.
fn get(server: &Server<'_>, path: &str, token: Option<&str>) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{authorization}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn tokens() {
    let flowctl = Flowctl::new();
    let server = Server::start(&flowctl);
    // this machine alone reaches it, and nobody asked for credentials
    server.run("pipelines list").success();
    let good = token(&flowctl, "default", "admin", "--description first");
    let brief = token(&flowctl, "default", "admin", "--expires-in 1s");
    let revoked = token(&flowctl, "default", "admin", "--description revoked");
    until("a token is asked for", || (server.run("pipelines list").code == Some(1)).then_some(()));
    let list = flowctl.run("tokens list --state-dir host --output json").success().stdout;
    assert!(!list.contains(&good), "{list}");
    let list: Value = serde_json::from_str(&list).unwrap();
    let is_revoked = |row: &&Value| row["description"] == "revoked";
    let id = list.as_array().unwrap().iter().find(is_revoked).unwrap()["id"].as_str().unwrap();
    run_as(&server, &revoked, "pipelines list").success();
    flowctl.run(&format!("tokens revoke {id} --state-dir host")).success();
    flowctl.run(&format!("tokens revoke {id} --state-dir host")).failure(&["there is no token", id]);
    for token in [&revoked, &brief] {
        until("a token opens nothing more", || (run_as(&server, token, "status").code == Some(1)).then_some(()));
    }
    let wrong = format!("{good}A");
    for token in [&wrong, &revoked, &brief, "flowctl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", ""] {
        for command in ["pipelines list", "processors list", "status", "run mine.yaml", "tap mine orders"] {
            write_endless(&flowctl);
            run_as(&server, token, command).failure(&["token", "FLOWCTL_TOKEN"]);
        }
        let answer = get(&server, "/metrics", Some(token).filter(|token| !token.is_empty()));
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        assert!(!answer.contains("flowctl_"), "{answer}");
    }
    for path in ["/healthz", "/readyz"] {
        assert!(get(&server, path, None).starts_with("HTTP/1.1 200"));
    }
    run_as(&server, &good, "pipelines list").success();
    let figures = get(&server, "/metrics", Some(&good));
    assert!(figures.starts_with("HTTP/1.1 200") && figures.contains("flowctl_"), "{figures}");
}

fn roles() {
    let flowctl = Flowctl::new();
    write_endless(&flowctl);
    let [viewer, operator, admin] = ["viewer", "operator", "admin"].map(|role| token(&flowctl, "default", role, ""));
    let server = Server::start(&flowctl);
    run_as(&server, &viewer, "run mine.yaml").failure(&["the role `viewer` may not do that"]);
    run_as(&server, &operator, "run mine.yaml --detach").success();
    run_as(&server, &viewer, "pipelines info mine").success();
    for command in ["pipelines stop mine", "pipelines delete mine", "tap mine orders --limit 1"] {
        run_as(&server, &viewer, command).failure(&["the role `viewer` may not do that"]);
    }
    run_as(&server, &operator, "tap mine orders --limit 1").success();
    run_as(&server, &operator, "pipelines stop mine").success();
    run_as(&server, &operator, "pipelines delete mine").failure(&["the role `operator` may not do that"]);
    run_as(&server, &admin, "pipelines delete mine").success();
}

fn foreign() {
    let flowctl = Flowctl::new();
    flowctl.write("policy.yaml", POLICY);
    write_endless(&flowctl);
    let [acme, umbrella] = ["acme", "umbrella"].map(|tenant| token(&flowctl, tenant, "admin", ""));
    let server = Server::new(&flowctl, "--policy policy.yaml").and_start();
    run_as(&server, &acme, "run mine.yaml --detach").success();
    let info = run_as(&server, &acme, "pipelines info mine --output json").success().stdout;
    let info: Value = serde_json::from_str(&info).unwrap();
    let run = info["id"].as_str().unwrap();
    for list in ["pipelines list", "pipelines active"] {
        assert_eq!(run_as(&server, &umbrella, &format!("{list} --output json")).success().stdout.trim(), "[]");
    }
    let commands = ["pipelines info", "pipelines stop", "pipelines logs", "pipelines runs", "pipelines delete"];
    let of = |command: &str, name: &str| run_as(&server, &umbrella, &format!("{command} {name}"));
    // the same words as for what nobody has
    let same = |command: &str, name: &str| {
        let (foreign, unknown) = (of(command, name).failure(&[]), of(command, "nobody").failure(&[]));
        assert_eq!(foreign.stderr.replace(name, "nobody"), unknown.stderr, "{command}");
    };
    for command in commands {
        same(command, "mine");
        same(command, run);
    }
    run_as(&server, &umbrella, "tap mine orders --limit 1").failure(&["`mine`"]);
    let figures = get(&server, "/metrics", Some(&umbrella));
    assert!(!figures.contains("mine"), "{figures}");
    assert!(get(&server, "/metrics", Some(&acme)).contains("mine"));
    // a name is each tenant's own
    run_as(&server, &umbrella, "run mine.yaml --detach").success();
    run_as(&server, &umbrella, "pipelines stop mine").success();
    let info = run_as(&server, &acme, "pipelines info mine --output json").success().stdout;
    assert!(info.contains("\"running\""), "{info}");
}

fn beyond() {
    let flowctl = Flowctl::new();
    let certificates = Certificates::make(&flowctl.path(""), &["localhost", "127.0.0.1"]);
    let serve = |more: &str| flowctl.run(&format!("serve --listen 0.0.0.0:0 --state-dir host {more}"));
    let (certificate, key) = (certificates.certificate.display(), certificates.key.display());
    serve("").failure(&["without TLS", "listen on 127.0.0.1"]);
    serve(&format!("--tls-cert {certificate} --tls-key {key}"))
        .failure(&["without credentials", "`flowctl tokens create"]);
    assert_eq!(serve(&format!("--tls-cert {certificate}")).code, Some(2));
    let other = certificates.client_key.display();
    serve(&format!("--tls-cert {certificate} --tls-key {other}")).failure(&["cannot speak TLS"]);
}

/// A server with TLS that other machines reach.
pub(super) fn secured<'f>(flowctl: &'f Flowctl, certificates: &Certificates) -> Server<'f> {
    let arguments = format!(
        "--tls-cert {} --tls-key {} --client-ca {}",
        certificates.certificate.display(),
        certificates.key.display(),
        certificates.authority.display(),
    );
    Server::new(flowctl, &arguments).listen("0.0.0.0:0").and_start()
}

fn tls() {
    let flowctl = Flowctl::new();
    let certificates = Certificates::make(&flowctl.path(""), &["localhost", "127.0.0.1"]);
    let token = token(&flowctl, "default", "admin", "");
    let server = secured(&flowctl, &certificates);
    let port = server.address().rsplit(':').next().unwrap();
    let list = |address: &str, authority: Option<&Path>, token: Option<&str>| {
        let mut command = flowctl.command(&format!("pipelines list --control-plane {address}"));
        command.envs(authority.map(|path| ("FLOWCTL_CA", path))).envs(token.map(|token| ("FLOWCTL_TOKEN", token)));
        Answer::of(command.output().unwrap())
    };
    let (ca, stranger) = (Some(&*certificates.authority), Some(&*certificates.stranger));
    for host in ["localhost", "127.0.0.1"] {
        let address = format!("https://{host}:{port}");
        list(&address, ca, Some(&token)).success();
        list(&address, ca, None).failure(&["token"]);
        list(&address, stranger, Some(&token)).failure(&["no control plane answers at"]);
        list(&address, None, Some(&token)).failure(&["no control plane answers at"]);
        // in plain text nobody is understood
        list(&format!("{host}:{port}"), None, Some(&token)).failure(&[]);
    }
}

fn certificate() {
    let flowctl = Flowctl::new();
    let certificates = Certificates::make(&flowctl.path(""), &["localhost", "127.0.0.1"]);
    let file = certificates.client_certificate.display().to_string();
    token(&flowctl, "umbrella", "admin", "");
    let server = secured(&flowctl, &certificates);
    let port = server.address().rsplit(':').next().unwrap();
    let status = |key: Option<&Path>| {
        let mut command = flowctl.command(&format!("status --output json --control-plane https://127.0.0.1:{port}"));
        command.env("FLOWCTL_CA", &certificates.authority).env("FLOWCTL_CERT", &file);
        command.envs(key.map(|key| ("FLOWCTL_KEY", key)));
        Answer::of(command.output().unwrap())
    };
    let key = Some(&*certificates.client_key);
    status(key).failure(&["token"]);
    flowctl.run(&format!("tokens create --tenant acme --role viewer --certificate {file} --state-dir host")).success();
    let said = until("the certificate is let in", || Some(status(key)).filter(|answer| answer.code == Some(0)));
    let said: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&said["tenant"], &said["role"]), (&"acme".into(), &"viewer".into()), "{said:#}");
    status(None).failure(&["only one of FLOWCTL_CERT and FLOWCTL_KEY is set"]);
}
