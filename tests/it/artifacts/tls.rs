//! With TLS and without: whom a client trusts, and where it speaks plainly.

use flowctl_test_support::registry::{Access, PASSWORD, Registry, Transport, USERNAME};
use libtest_mimic::Trial;

use super::logins::with_password;
use super::market::{Market, assert_nothing_held, held, order_filter};
use crate::fact;
use crate::flowctl::Flowctl;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("artifacts::a_certificate_is_trusted_by_its_authoritys_file_alone", trusted),
        fact("artifacts::a_password_travels_under_tls_and_never_to_a_stranger", password),
        fact("artifacts::plain_http_is_for_this_machine_or_who_asks_for_it", plain),
        fact("artifacts::a_file_of_certificates_that_is_none_is_named", no_certificates),
    ]
}

fn trusted() {
    let registry = Registry::start_with(Transport::Tls, Access::Anyone);
    let port = registry.address().port();
    let (ca, other) = (registry.ca_file().display().to_string(), registry.other_ca_file().display().to_string());
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}")] {
        let flowctl = Flowctl::new();
        flowctl.write("pushed.wasm", order_filter());
        let reference = format!("{host}/acme/a:1");
        for untrusting in ["".to_owned(), format!("--ca-file {other}"), format!("--insecure --ca-file {other}")] {
            let answer = flowctl.run(&format!("push pushed.wasm {reference} {untrusting}"));
            answer.failure(&[&format!("certificate of registry `{host}` is not trusted"), "`--ca-file`"]);
            flowctl.run(&format!("pull {reference} {untrusting}")).failure(&["is not trusted"]);
        }
        assert_nothing_held(&flowctl);
        flowctl.run(&format!("push pushed.wasm {reference} --ca-file {other} --ca-file {ca}")).success();
        flowctl.run(&format!("pull --no-compile {reference} --ca-file {ca}")).success();
        assert_eq!(held(&flowctl).len(), 1);
        // once for all commands, from the settings' folder
        flowctl.run(&format!("pull --no-compile {reference}")).failure(&["is not trusted"]);
        std::fs::create_dir_all(flowctl.path(".config/flowctl")).unwrap();
        std::fs::copy(registry.ca_file(), flowctl.path(".config/flowctl/ca.pem")).unwrap();
        flowctl.write(".config/flowctl/config.yaml", "ca_files: [ca.pem]\n");
        flowctl.run(&format!("pull --no-compile {reference}")).success();
    }
}

fn password() {
    let registry = Registry::start_with(Transport::Tls, Access::Password);
    let (host, ca) = (registry.address(), registry.ca_file().display().to_string());
    let flowctl = Flowctl::new();
    flowctl.write("pushed.wasm", order_filter());
    let login = format!("login {host} -u {USERNAME} --password-stdin");
    with_password(&flowctl, &login, PASSWORD).failure(&["is not trusted"]);
    assert!(registry.requests().is_empty(), "{:?}", registry.requests());
    assert!(!flowctl.path(".docker").exists());
    with_password(&flowctl, &format!("{login} --ca-file {ca}"), PASSWORD).success();
    flowctl.run(&format!("push pushed.wasm {host}/acme/a:1 --ca-file {ca}")).success();
    flowctl.run(&format!("pull --no-compile {host}/acme/a:1 --ca-file {ca}")).success();
}

/// `127.1` leads here, and is no name of this machine.
fn plain() {
    let market = Market::new();
    market.push(&order_filter(), "acme/a:1");
    let n_requests = market.n_requests();
    let host = format!("127.1:{}", market.proxy.address().port());
    let reference = format!("{host}/acme/a:1");
    for command in
        [format!("pull {reference}"), format!("push pushed.wasm {reference}"), format!("inspect {reference}")]
    {
        let cannot = format!("registry `{host}` cannot be reached: it does not speak TLS");
        market.flowctl.run(&command).failure(&[&cannot, "a registry without TLS", "needs `--insecure`"]);
    }
    assert_eq!(market.n_requests(), n_requests);
    assert_nothing_held(&market.flowctl);
    market.flowctl.run(&format!("pull --no-compile {reference} --insecure")).success();
    market.flowctl.run(&format!("push pushed.wasm {host}/acme/b:1 --insecure")).success();
    market.flowctl.write(".config/flowctl/config.yaml", format!("insecure: ['{host}']\n"));
    market.flowctl.run(&format!("pull --no-compile {reference}")).success();
    // of another registry it says nothing
    market.flowctl.write(".config/flowctl/config.yaml", "insecure: ['127.1:1']\n");
    let answer = market.flowctl.run(&format!("pull {host}/acme/b:1")).failure(&["cannot be reached"]);
    assert_eq!(answer.stdout, "", "there is no table without a row");
}

fn no_certificates() {
    let market = Market::new();
    market.flowctl.write("letter.txt", "to whom it may concern");
    for (file, wanted) in [("letter.txt", "`letter.txt` cannot be used as certificates"), ("none.pem", "`none.pem`")] {
        market.flowctl.run(&format!("pull {} --ca-file {file}", market.at("acme/a:1"))).failure(&[wanted]);
    }
    assert_eq!(market.n_requests(), 0);
}
