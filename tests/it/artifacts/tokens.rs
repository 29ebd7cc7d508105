//! Registries that want a token of a token server: asked for by name, by password, by
//! identity token, or brought along.

use std::fs;

use flowctl_test_support::registry::{Access, IDENTITY_TOKEN, PASSWORD, TokenServer, USERNAME};
use libtest_mimic::Trial;

use super::logins::{unseen_in, with_password};
use super::market::{Market, assert_nothing_held, order_filter, runtime, store};
use crate::fact;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        fact("artifacts::anyone_gets_a_token_for_what_is_public", public),
        fact("artifacts::a_password_buys_tokens", password),
        fact("artifacts::an_identity_token_buys_tokens_and_is_kept_as_one", identity),
        fact("artifacts::a_bearer_token_from_stdin_is_shown_as_it_is", bearer),
        fact("artifacts::a_token_that_is_refused_at_once_is_not_asked_for_again", stale),
        fact("artifacts::a_token_server_that_refuses_is_told", refused),
    ]
}

struct Place {
    market: Market,
    tokens: TokenServer,
    // last: the server runs on it
    _runtime: tokio::runtime::Runtime,
}

fn place() -> Place {
    let runtime = runtime();
    let tokens = runtime.block_on(TokenServer::start());
    let market = Market::with(Access::Tokens(&tokens));
    market.flowctl.write("pushed.wasm", order_filter());
    Place { market, tokens, _runtime: runtime }
}

fn push_as_user(market: &Market, rest: &str) {
    let push = format!("push pushed.wasm {} --username {USERNAME} --password-stdin", market.at(rest));
    with_password(&market.flowctl, &push, PASSWORD).success();
}

fn public() {
    let Place { market, tokens, .. } = &place();
    push_as_user(market, "public/a:1");
    push_as_user(market, "acme/a:1");
    let n_before = tokens.requests().len();
    market.pull("public/a:1").success();
    // one token for the manifest, the configuration and the component
    assert_eq!(tokens.requests().len(), n_before + 1);
    market.pull("acme/a:1").failure(&["denies access to `acme/a`"]);
}

fn password() {
    let Place { market, tokens, .. } = &place();
    let host = market.proxy.address();
    let login = format!("login {host} -u {USERNAME} --password-stdin");
    with_password(&market.flowctl, &login, "wrong").failure(&["denies access"]);
    with_password(&market.flowctl, &login, PASSWORD).success();
    unseen_in(market.flowctl.run(&format!("push pushed.wasm {}", market.at("acme/a:1")))).success();
    unseen_in(market.pull("acme/a:1")).success();
    assert!(!tokens.requests().is_empty());
    // the password goes to who gives tokens, and never to the registry
    for passage in market.proxy.passages() {
        let shown = passage.header("authorization").unwrap_or("Bearer none");
        assert!(shown.starts_with("Bearer "), "{shown}");
    }
}

fn identity() {
    let Place { market, tokens, .. } = &place();
    let host = market.proxy.address();
    let login = format!("login {host} --identity-token-stdin");
    with_password(&market.flowctl, &login, "another").failure(&["denies access"]);
    assert!(!market.flowctl.path(".docker").exists());
    with_password(&market.flowctl, &login, IDENTITY_TOKEN).success();
    let kept: serde_json::Value = serde_json::from_str(&market.flowctl.read(".docker/config.json")).unwrap();
    assert_eq!(kept["auths"][host.to_string()]["identitytoken"], IDENTITY_TOKEN);
    unseen_in(market.flowctl.run(&format!("push pushed.wasm {}", market.at("acme/a:1")))).success();
    unseen_in(market.pull("acme/a:1")).success();
    let requests = tokens.requests();
    let last = requests.last().unwrap();
    let form = String::from_utf8_lossy(&last.body).into_owned();
    assert_eq!(last.method, "POST");
    assert!(form.contains("grant_type=refresh_token") && form.contains("pull"), "{form}");
    // not in a URL, which others log
    assert!(requests.iter().all(|request| !request.path.contains(IDENTITY_TOKEN)));
}

fn bearer() {
    let Place { market, tokens, .. } = &place();
    let token = tokens.token("repository:acme/a:pull,push");
    let n_before = tokens.requests().len();
    let reference = market.at("acme/a:1");
    for command in [format!("push pushed.wasm {reference}"), format!("pull {reference}")] {
        let answer = with_password(&market.flowctl, &format!("{command} --token-stdin"), &token).success();
        assert!(!answer.stderr.contains(&token));
    }
    assert_eq!(tokens.requests().len(), n_before);
    let other = market.at("acme/b:1");
    with_password(&market.flowctl, &format!("pull {other} --token-stdin"), &token).failure(&["denies access"]);
}

fn stale() {
    let Place { market, tokens, .. } = &place();
    push_as_user(market, "public/a:1");
    tokens.issue_stale(1);
    let n_before = tokens.requests().len();
    market.pull("public/a:1").failure(&["denies access to `public/a`"]);
    assert_eq!(tokens.requests().len(), n_before + 1);
    market.pull("public/a:1").success();
}

fn refused() {
    let Place { market, .. } = &place();
    push_as_user(market, "acme/a:1");
    let _ = fs::remove_dir_all(store(&market.flowctl));
    let pull = format!("pull {} --username {USERNAME} --password-stdin", market.at("acme/a:1"));
    with_password(&market.flowctl, &pull, "wrong").failure(&["denies access to `acme/a`", "flowctl login"]);
    assert_nothing_held(&market.flowctl);
}
