//! Logins in docker's configuration and with credential helpers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use expect_test::{Expect, expect};
use flowctl_oci::auth::{AuthError, Credentials, Kept, Login, Secret};

use crate::helpers::Home;

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn basic(username: &str, password: &str) -> Login {
    Login::Basic { username: username.to_owned(), password: secret(password) }
}

/// The error's text with its causes, in which the home's path is cut; no secret is in it.
fn told(home: &Home, error: &AuthError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    if let Some(hint) = error.hint() {
        text += &format!("; hint: {hint}");
    }
    let all = format!("{text} {error:?}");
    for secret in ["hunter2", "aHVudGVyMg", "eyJ0b2tlbi"] {
        assert!(!all.contains(secret), "{all}");
    }
    text.replace(&home.folder.path().display().to_string(), "HOME")
}

#[tokio::test]
async fn every_form_of_an_entry_is_understood() {
    let home = Home::with_config(
        r#"{"auths": {
            "plain.example": {"auth": "bWU6aHVudGVyMg=="},
            "colons.example": {"auth": "bWU6YTpiOmM="},
            "https://url.example/v2/": {"auth": "bWU6aHVudGVyMg==", "email": "me@x.example"},
            "https://index.docker.io/v1/": {"auth": "bWU6aHVudGVyMgAA"},
            "fields.example:5000": {"username": "me", "password": "hunter2"},
            "identity.example": {"auth": "bWU6aHVudGVyMg==", "identitytoken": "eyJ0b2tlbi"},
            "registry.example": {"registrytoken": "eyJ0b2tlbi", "identitytoken": "other"},
            "marker.example": {}, "empty.example": {"auth": "", "identitytoken": ""}
        }, "HttpHeaders": {"x": 1}}"#,
    );
    for (registry, want) in [
        ("plain.example", basic("me", "hunter2")),
        ("colons.example", basic("me", "a:b:c")),
        ("url.example", basic("me", "hunter2")),
        ("docker.io", basic("me", "hunter2")),
        ("registry-1.docker.io", basic("me", "hunter2")),
        ("fields.example:5000", basic("me", "hunter2")),
        ("identity.example", Login::Identity(secret("eyJ0b2tlbi"))),
        ("registry.example", Login::Bearer(secret("eyJ0b2tlbi"))),
        ("marker.example", Login::Anonymous),
        ("empty.example", Login::Anonymous),
        ("fields.example", Login::Anonymous),
        ("plain.example.evil.example", Login::Anonymous),
    ] {
        assert_eq!(home.credentials().login(registry).await.unwrap(), want, "{registry}");
    }
}

#[tokio::test]
async fn without_configuration_everybody_is_anonymous() {
    for text in ["", " \n", "{}", r#"{"auths": null, "credsStore": ""}"#] {
        let home = Home::with_config(text);
        assert_eq!(home.credentials().login("r.example").await.unwrap(), Login::Anonymous, "{text}");
        assert!(!home.credentials().forget("r.example").await.unwrap());
    }
    assert_eq!(Credentials::default().login("r.example").await.unwrap(), Login::Anonymous);
}

#[tokio::test]
async fn a_login_that_was_given_is_shown_to_its_registry_only() {
    let home = Home::with_config(r#"{"auths": {"a.example": {"auth": "bWU6aHVudGVyMg=="}}}"#);
    let credentials = home.credentials().with_login("a.example", basic("you", "other"));
    assert_eq!(credentials.login("a.example").await.unwrap(), basic("you", "other"));
    assert_eq!(credentials.login("b.example").await.unwrap(), Login::Anonymous);
}

#[tokio::test]
async fn broken_configurations_are_told_without_what_they_hold() {
    let check = async |text: &str, want: Expect| {
        let home = Home::with_config(text);
        let error = home.credentials().login("r.example").await.unwrap_err();
        want.assert_eq(&told(&home, &error));
        let error = home.credentials().keep("r.example", &basic("me", "hunter2")).await.err();
        // what cannot be read is not written over
        assert!(error.is_none() || home.text() == text);
    };
    check("{\n\"auths\": hunter2}", expect!["`HOME/docker/config.json` is not readable: no valid JSON at line 2, column 10; hint: mend `HOME/docker/config.json`, or set DOCKER_CONFIG to another folder"]).await;
    check("\"hunter2\"", expect!["`HOME/docker/config.json` is not readable: no valid JSON at line 1, column 9; hint: mend `HOME/docker/config.json`, or set DOCKER_CONFIG to another folder"]).await;
    check(r#"{"auths": "hunter2"}"#, expect!["`HOME/docker/config.json` is not readable: `auths` must be an object; hint: mend `HOME/docker/config.json`, or set DOCKER_CONFIG to another folder"]).await;
    check(r#"{"auths": {"r.example": "hunter2"}}"#, expect!["`HOME/docker/config.json` is not readable: `auths` for `r.example` must be an object of texts; hint: mend `HOME/docker/config.json`, or set DOCKER_CONFIG to another folder"]).await;
    check(r#"{"auths": {"r.example": {"auth": {"hunter2": 1}}}}"#, expect!["`HOME/docker/config.json` is not readable: `auths` for `r.example` must be an object of texts; hint: mend `HOME/docker/config.json`, or set DOCKER_CONFIG to another folder"]).await;
    check(r#"{"auths": {"r.example": {"auth": "hunter2"}}}"#, expect!["`HOME/docker/config.json` is not readable: `auths` for `r.example` must have `auth` as base64 of `user:password`; hint: mend `HOME/docker/config.json`, or set DOCKER_CONFIG to another folder"]).await;
    check(r#"{"auths": {"r.example": {"auth": "aHVudGVyMg=="}}}"#, expect!["`HOME/docker/config.json` is not readable: `auths` for `r.example` must have `auth` as base64 of `user:password`; hint: mend `HOME/docker/config.json`, or set DOCKER_CONFIG to another folder"]).await;
    check(r#"{"credHelpers": ["hunter2"]}"#, expect!["`HOME/docker/config.json` is not readable: `credHelpers` must map registries to names of helpers; hint: mend `HOME/docker/config.json`, or set DOCKER_CONFIG to another folder"]).await;
    check(r#"{"credsStore": "../../bin/hunter2"}"#, expect!["`HOME/docker/config.json` is not readable: the name of a credential helper must be letters, digits, `-`, `_` and `.`; hint: mend `HOME/docker/config.json`, or set DOCKER_CONFIG to another folder"]).await;
    check(
        &format!("{{\"x\": \"{}\"}}", "a".repeat(1 << 20)),
        expect!["cannot read `HOME/docker/config.json`: it has more than 1 MiB"],
    )
    .await;
}

#[tokio::test]
async fn helpers_are_asked_and_their_answers_understood() {
    let answer = |username: &str, secret: &str| {
        format!(r#"cat > @HOME@/input; echo '{{"ServerURL":"s","Username":"{username}","Secret":"{secret}"}}'"#)
    };
    let config = r#"{"credsStore": "all", "credHelpers": {"own.example": "own"},
        "auths": {"known.example": {"auth": "bWU6aHVudGVyMg=="}}}"#;
    let home = Home::with_config(config)
        .helper("all", &answer("me", "hunter2"))
        .helper("own", &answer("<token>", "eyJ0b2tlbi"));
    assert_eq!(home.credentials().login("own.example").await.unwrap(), Login::Identity(secret("eyJ0b2tlbi")));
    assert_eq!(home.kept("input"), "own.example");
    assert_eq!(home.credentials().login("docker.io").await.unwrap(), basic("me", "hunter2"));
    assert_eq!(home.kept("input"), "https://index.docker.io/v1/");
    assert_eq!(home.kept("asked"), "get\nget\n");
    // what a helper does not know may stand in the file
    let unknown = "echo 'credentials not found in native keychain'; exit 1";
    let home = Home::with_config(config).helper("all", unknown);
    assert_eq!(home.credentials().login("known.example").await.unwrap(), basic("me", "hunter2"));
    assert_eq!(home.credentials().login("other.example").await.unwrap(), Login::Anonymous);
}

#[tokio::test]
async fn helpers_that_fail_are_told_without_what_they_said_in_secret() {
    let check = async |script: &str, want: Expect| {
        let home = Home::with_config(r#"{"credsStore": "x"}"#).helper("x", script);
        let error = home.credentials().login("r.example").await.unwrap_err();
        want.assert_eq(&told(&home, &error));
    };
    check(
        "echo pass is not initialized; exit 1",
        expect!["the credential helper `docker-credential-x` failed at `get` for `r.example`: pass is not initialized"],
    )
    .await;
    check(
        "echo 'no agent' >&2; exit 3",
        expect!["the credential helper `docker-credential-x` failed at `get` for `r.example`: no agent"],
    )
    .await;
    check(
        "exit 1",
        expect!["the credential helper `docker-credential-x` failed at `get` for `r.example`: it does not say why"],
    )
    .await;
    check(
        r#"echo '{"Secret":"hunter2"}'; exit 1"#,
        expect!["the credential helper `docker-credential-x` failed at `get` for `r.example`: it does not say why"],
    )
    .await;
    check(
        "kill -9 $$",
        expect!["the credential helper `docker-credential-x` failed at `get` for `r.example`: it does not say why"],
    )
    .await;
    check("echo hunter2", expect!["the credential helper `docker-credential-x` gave no readable answer for `r.example`: it must be a JSON object with the texts `Username` and `Secret`"]).await;
    check(r#"echo '{"Username":"me","Secret":["hunter2"]}'"#, expect!["the credential helper `docker-credential-x` gave no readable answer for `r.example`: it must be a JSON object with the texts `Username` and `Secret`"]).await;
    check(
        "printf '\\033[2Jgone'; exit 1",
        expect!["the credential helper `docker-credential-x` failed at `get` for `r.example`:  [2Jgone"],
    )
    .await;
    check("yes hunter2", expect!["the credential helper `docker-credential-x` gave no readable answer for `r.example`: it is longer than 64 KiB"]).await;
    check("yes hunter2 >&2", expect!["the credential helper `docker-credential-x` gave no readable answer for `r.example`: it is longer than 64 KiB"]).await;
}

#[tokio::test]
async fn helpers_that_hang_are_killed() {
    let home = Home::with_config(r#"{"credsStore": "x"}"#).helper("x", "echo $$ > @HOME@/pid; exec sleep 600");
    let error = home.impatient().login("r.example").await.unwrap_err();
    expect!["the credential helper `docker-credential-x` did not answer `get` for `r.example` within 0.3 s; hint: it may wait for a key or a prompt: try `docker-credential-x list` in a terminal"].assert_eq(&told(&home, &error));
    let status = format!("/proc/{}/stat", home.kept("pid").trim());
    let is_alive = || fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z "));
    let ended = async {
        while is_alive() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it is killed");
    // one that leaves its output to a child does not hold us up either
    let home = Home::with_config(r#"{"credsStore": "x"}"#).helper("x", "sleep 5 & exit 0");
    assert!(matches!(home.impatient().login("r.example").await, Err(AuthError::HelperTimeout { .. })));
}

#[tokio::test]
async fn helpers_that_are_not_there_are_named() {
    let home = Home::with_config(r#"{"credHelpers": {"r.example": "nowhere"}}"#);
    let error = home.credentials().login("r.example").await.unwrap_err();
    expect!["cannot start the credential helper `docker-credential-nowhere`, which `HOME/docker/config.json` names for `r.example`: no folder of PATH holds it; hint: install `docker-credential-nowhere`, or remove it from `HOME/docker/config.json`"].assert_eq(&told(&home, &error));
    assert_eq!(home.credentials().login("other.example").await.unwrap(), Login::Anonymous);
}

#[tokio::test]
async fn a_login_is_kept_beside_what_the_file_holds() {
    let text = "{\"zeta\": {\"b\": 1.50, \"a\":   18446744073709551616},\n\"auths\": {\"b.example\": {\"auth\": \"eDp5\", \"extra\": [1]},\n \
                \"https://a.example/v1/\": {\"auth\": \"eDp5\"}}, \"alpha\": null}";
    let home = Home::with_config(text);
    fs::set_permissions(home.config(), fs::Permissions::from_mode(0o644)).unwrap();
    let kept = home.credentials().keep("a.example", &basic("me", "hunter2")).await.unwrap();
    assert_eq!(kept, Kept::File(home.config()));
    expect![[r#"
        {
          "zeta": {"b": 1.50, "a":   18446744073709551616},
          "auths": {"b.example":{"auth": "eDp5", "extra": [1]},"a.example":{"auth":"bWU6aHVudGVyMg=="}},
          "alpha": null
        }
    "#]]
    .assert_eq(&home.text());
    assert_eq!(fs::metadata(home.config()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(home.credentials().login("a.example").await.unwrap(), basic("me", "hunter2"));
    assert_eq!(home.credentials().login("b.example").await.unwrap(), basic("x", "y"));
    assert_eq!(fs::read_dir(home.docker()).unwrap().count(), 1);
    assert!(home.credentials().forget("a.example").await.unwrap());
    assert!(!home.credentials().forget("a.example").await.unwrap());
    assert_eq!(home.credentials().login("b.example").await.unwrap(), basic("x", "y"));
}

#[tokio::test]
async fn every_kind_of_login_that_is_kept_is_found_again() {
    for login in [basic("me", "hunter2"), basic("me", ""), Login::Identity(secret("t")), Login::Bearer(secret("t"))] {
        let home = Home::with_config("");
        home.credentials().keep("docker.io", &login).await.unwrap();
        assert_eq!(home.credentials().login("docker.io").await.unwrap(), login);
        assert!(home.text().contains("https://index.docker.io/v1/"));
        assert_eq!(fs::metadata(home.docker()).unwrap().permissions().mode() & 0o777, 0o700);
    }
    let home = Home::with_config("");
    for login in [Login::Anonymous, basic("a:b", "c")] {
        assert!(matches!(home.credentials().keep("r.example", &login).await, Err(AuthError::Unkeepable { .. })));
    }
}

#[tokio::test]
async fn a_linked_configuration_stays_a_link() {
    let home = Home::with_config("{}");
    let real = home.folder.path().join("real.json");
    fs::rename(home.config(), &real).unwrap();
    std::os::unix::fs::symlink(&real, home.config()).unwrap();
    home.credentials().keep("r.example", &basic("me", "hunter2")).await.unwrap();
    assert!(fs::symlink_metadata(home.config()).unwrap().is_symlink());
    assert!(fs::read_to_string(real).unwrap().contains("r.example"));
}

#[tokio::test]
async fn logins_that_are_kept_at_the_same_time_are_all_there() {
    let home = Home::with_config("");
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let credentials = home.credentials();
            tokio::task::spawn_blocking(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(credentials.keep(&format!("r{n}.example"), &basic("me", "hunter2"))).unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for n in 0..20 {
        assert_eq!(home.credentials().login(&format!("r{n}.example")).await.unwrap(), basic("me", "hunter2"));
    }
}

#[tokio::test]
async fn helpers_keep_and_forget_what_then_is_not_in_the_file() {
    let script = r#"case $1 in
        store) cat > @HOME@/kept;;
        get) test -f @HOME@/kept && cat @HOME@/kept || { echo credentials not found in native keychain; exit 1; };;
        erase) rm @HOME@/kept;;
    esac"#;
    let home = Home::with_config(r#"{"credsStore": "x"}"#).helper("x", script);
    let credentials = home.credentials();
    let kept = credentials.keep("r.example", &basic("me", "hunter2")).await.unwrap();
    assert_eq!(kept, Kept::Helper("docker-credential-x".to_owned()));
    assert_eq!(home.kept("kept"), r#"{"ServerURL":"r.example","Username":"me","Secret":"hunter2"}"#);
    assert!(!home.text().contains("auth\""));
    assert_eq!(credentials.login("r.example").await.unwrap(), basic("me", "hunter2"));
    assert!(credentials.forget("r.example").await.unwrap());
    assert!(!credentials.forget("r.example").await.unwrap());
    // no secret is an argument
    assert_eq!(home.kept("asked"), "store\nget\nget\nerase\nget\n");
    let error = credentials.keep("r.example", &Login::Bearer(secret("hunter2"))).await.unwrap_err();
    expect!["a bearer token cannot be kept by the credential helper `docker-credential-x`; hint: log in with a user name and a password"].assert_eq(&told(&home, &error));
}

#[tokio::test]
async fn a_helper_that_does_not_keep_leaves_the_file_as_it_was() {
    let config = r#"{"credsStore": "x"}"#;
    let home = Home::with_config(config).helper("x", "cat; exit 1");
    let error = home.credentials().keep("r.example", &basic("me", "hunter2")).await.unwrap_err();
    expect!["the credential helper `docker-credential-x` failed at `store` for `r.example`: it does not say why"]
        .assert_eq(&told(&home, &error));
    assert_eq!(home.text(), config);
    let home = Home::with_config(config).helper("x", "echo cannot keep hunter2; exit 1");
    let error = home.credentials().keep("r.example", &basic("me", "hunter2")).await.unwrap_err();
    expect!["the credential helper `docker-credential-x` failed at `store` for `r.example`: it does not say why"]
        .assert_eq(&told(&home, &error));
}

#[test]
fn debug_of_logins_and_credentials_tells_no_secret() {
    let logins = [basic("me", "hunter2"), Login::Identity(secret("hunter2")), Login::Bearer(secret("hunter2"))];
    for login in logins {
        let credentials = Credentials::default().with_login("r.example", login.clone());
        assert!(!format!("{login:?} {login:#?} {credentials:?}").contains("hunter2"));
    }
}
